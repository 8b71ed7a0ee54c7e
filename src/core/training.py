"""The training loop: one model, one objective, the epoch with the best selection score.

One seed fixes the head, the data order and dropout, each from a stream of its own, so that arms with one seed
are paired: they see the same rows in the same batches under the same dropout masks.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup

from src.core.cmi import ClassSums, class_sums, log_probabilities, measure
from src.core.encoding import EncodedSplit, training_batches
from src.core.inference import predict
from src.core.metrics import nll_rows, task_scores
from src.core.models import Classifier
from src.core.objectives import LOSS_TERMS, NO_LABEL, Batch, Outputs, Processes, RunObjective, plain_objective
from src.params import Objective, Training

STREAMS = {"head": 0, "order": 1, "dropout": 2}
FINITE_CHECK_EVERY = 50  # steps; a check makes a GPU wait


@dataclass(frozen=True)
class LabelledSplit:
    """A tokenised split with its labels (N,) and, where there is a teacher, the teacher's logits (N, C).

    Rows without a label have `NO_LABEL`; only a train split has any, after its labelled rows.
    """

    tokens: EncodedSplit
    labels: Tensor
    teacher_logits: Tensor | None = None

    def first(self, rows: int) -> "LabelledSplit":
        """The first rows only."""
        return LabelledSplit(self.tokens.first(rows), self.labels[:rows])


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on, what chooses its epoch, and the train rows on which CMI is measured."""

    train: LabelledSplit
    selection: LabelledSplit
    diagnostic: LabelledSplit
    num_classes: int
    metrics: list[str]


@dataclass(frozen=True)
class TrainingResult:
    """History per epoch (a list of flat rows), the epoch whose weights the model has now, and the steps taken."""

    history: list[dict[str, float]]
    best_epoch: int
    steps: int


def stream_seed(seed: int, stream: str, *more: int) -> int:
    """A seed for one use of randomness, so that no two uses share a random sequence."""
    return int(np.random.SeedSequence([seed, STREAMS[stream], *more]).generate_state(1, np.uint64)[0] >> 1)


def train(
    model: Classifier,
    objective: Objective,
    data: TrainingData,
    settings: Training,
    seed: int,
    accelerator: Accelerator,
) -> TrainingResult:
    """Train a model in place and leave it with the weights of its best epoch.

    With `plain_epochs` the model is first fine-tuned plainly for that many, just as an arm without CMI is, and the
    objective's own epochs go on from the best of these: the recipe of the MCMI teachers. The best epoch is that with
    the highest first metric on selection, ties broken by the lower selection NLL.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if not settings.plain_epochs:
        return _fit(model, objective, data, settings, seed, accelerator, first_epoch=0)
    plain_settings = settings.model_copy(update={"epochs": settings.plain_epochs, "plain_epochs": 0})
    plain = _fit(model, plain_objective(objective), data, plain_settings, seed, accelerator, first_epoch=0)
    own = _fit(model, objective, data, settings, seed, accelerator, first_epoch=settings.plain_epochs)
    return TrainingResult(plain.history + own.history, own.best_epoch, plain.steps + own.steps)


def _fit(
    model: Classifier,
    settings_of_loss: Objective,
    data: TrainingData,
    settings: Training,
    seed: int,
    accelerator: Accelerator,
    first_epoch: int,
) -> TrainingResult:
    """Train with one objective and one learning-rate schedule; epochs are numbered from `first_epoch` + 1."""
    processes = Processes(accelerator.num_processes, lambda tensor: accelerator.reduce(tensor, "sum"))
    objective = RunObjective(settings_of_loss, data.num_classes, processes)
    lengths = data.train.tokens.lengths
    steps_per_epoch = len(training_batches(lengths, settings.batch_size, torch.Generator()))
    optimisation = _prepare(model, settings, steps_per_epoch, accelerator)
    history, best, best_epoch, best_weights = [], (-np.inf, -np.inf), 0, None
    for epoch in range(first_epoch, first_epoch + settings.epochs):
        objective.start_epoch(epoch - first_epoch, lambda: _train_sums(model, objective, data, accelerator))
        order = torch.Generator().manual_seed(stream_seed(seed, "order", epoch))
        batches = training_batches(lengths, settings.batch_size, order)
        torch.manual_seed(stream_seed(seed, "dropout", epoch, accelerator.process_index))
        losses = _train_epoch(optimisation, objective, data.train, batches, accelerator)
        row = {"epoch": epoch + 1} | losses | diagnose(model, data, accelerator)
        if not math.isfinite(row["selection_nll"]):
            raise FloatingPointError(f"the model's outputs are not finite after epoch {epoch + 1}")
        history.append(row)
        accelerator.print(_progress(row, data.metrics[0], first_epoch + settings.epochs), flush=True)
        score = (row[f"selection_{data.metrics[0]}"], -row["selection_nll"])
        if score > best:
            best, best_epoch, best_weights = score, epoch + 1, _copy_of_weights(model)
        elif settings.patience and epoch + 1 - best_epoch >= settings.patience:
            break
    model.load_state_dict(best_weights)
    return TrainingResult(history, best_epoch, steps_per_epoch * len(history))


def diagnose(model: Classifier, data: TrainingData, accelerator: Accelerator) -> dict[str, float]:
    """Scores on selection, and CMI in both spaces (nats, at tau = 1) on selection and the diagnostic train rows."""
    row = {}
    for name, split in (("train", data.diagnostic), ("selection", data.selection)):
        outputs = predict(model, split.tokens, accelerator)
        row |= information(name, outputs, split.labels, data.num_classes)
    labels, logits = data.selection.labels.numpy(), outputs.logits.numpy()
    scores = task_scores(data.metrics, labels, logits) | {"nll": float(nll_rows(labels, logits).mean())}
    return row | {f"selection_{name}": value for name, value in scores.items()}


def information(name: str, outputs: Outputs, labels: Tensor, num_classes: int) -> dict[str, float]:
    """CMI (and its logarithm), Gamma and NCMI of outputs in both spaces at tau = 1, and the size of h.

    Feature-space CMI lives on another scale than class-space CMI, and shrinks with h (METHOD section 4, row 6): the
    logarithm makes it visible, the mean norm of h and its deviation over samples say where a change comes from.
    """
    row = {}
    for space, scores in (("class", outputs.logits), ("feature", outputs.features)):
        measures = measure(scores, labels, num_classes)
        row |= {f"{name}_{space}_{key}": value for key, value in measures._asdict().items()}
        row[f"{name}_{space}_log_cmi"] = math.log(max(measures.cmi, np.finfo(float).tiny))
    norms = outputs.features.double().norm(dim=1)
    return row | {f"{name}_feature_norm": float(norms.mean()), f"{name}_feature_norm_std": float(norms.std())}


@dataclass
class Optimisation:
    """A model wrapped for the processes, with its optimiser and schedule, and the share of steps taken."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    max_grad_norm: float
    steps: int
    steps_taken: int = 0

    def step(self, loss: Tensor, accelerator: Accelerator) -> None:
        """Take one step down the gradient of `loss`."""
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.steps_taken += 1


def _prepare(model: Classifier, settings: Training, steps_per_epoch: int, accelerator: Accelerator) -> Optimisation:
    """AdamW and a linear schedule with warm-up, made ready for the device and the processes."""
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]  # biases and layer norms
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    steps = steps_per_epoch * settings.epochs
    schedule = get_linear_schedule_with_warmup(optimizer, round(settings.warmup * steps), steps)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    return Optimisation(wrapped, optimizer, schedule, settings.max_grad_norm, steps)


def _train_epoch(
    optimisation: Optimisation,
    objective: RunObjective,
    split: LabelledSplit,
    batches: list[Tensor],
    accelerator: Accelerator,
) -> dict[str, float]:
    """One pass over the batches; the mean of each loss term."""
    optimisation.model.train()
    totals, counts = torch.zeros(2, len(LOSS_TERMS), device=accelerator.device)
    for step, rows in enumerate(tqdm(batches, leave=False, disable=None if accelerator.is_main_process else True)):
        inputs, batch = _batch(split, rows, optimisation.steps_taken / optimisation.steps, accelerator)
        with accelerator.autocast():
            outputs = optimisation.model(**inputs)
        terms = objective(outputs, batch)
        optimisation.step(terms.total, accelerator)
        # Means over labelled rows weigh by these, so that an epoch's mean is that of its rows.
        weights = torch.tensor([len(rows) if name in ("total", "kd") else batch.global_labelled for name in LOSS_TERMS])
        totals += terms.values() * weights.to(totals)
        counts += weights.to(counts)
        if step % FINITE_CHECK_EVERY == 0:
            _check_finite(totals, optimisation.steps_taken)
    _check_finite(totals, optimisation.steps_taken)
    means = accelerator.reduce(totals, "mean") / counts.clamp(min=1)
    return {f"loss_{name}": float(value) for name, value in zip(LOSS_TERMS, means.tolist(), strict=True)}


def _batch(
    split: LabelledSplit, rows: Tensor, progress: float, accelerator: Accelerator
) -> tuple[dict[str, Tensor], Batch]:
    """The model's inputs and the objective's view of this process's share of a batch's rows."""
    device, own = accelerator.device, rows[accelerator.process_index :: accelerator.num_processes]
    inputs = {name: values.to(device) for name, values in split.tokens.batch(own).items()}
    batch = Batch(
        labels=split.labels[own].to(device),
        teacher_logits=None if split.teacher_logits is None else split.teacher_logits[own].to(device),
        global_rows=len(rows),
        global_labelled=int((split.labels[rows] != NO_LABEL).sum()),
        progress=progress,
    )
    return inputs, batch


def _train_sums(model: Classifier, objective: RunObjective, data: TrainingData, accelerator: Accelerator) -> ClassSums:
    """Class sums of p over the whole train split, for the centroids that look at it."""
    labelled = int((data.train.labels != NO_LABEL).sum())  # labelled rows come first
    outputs = predict(model, data.train.tokens.first(labelled), accelerator)
    p = log_probabilities(objective.space(outputs), objective.settings.tau).exp()
    sums = class_sums(p, data.train.labels[:labelled], data.num_classes)
    return ClassSums(*(part.to(accelerator.device) for part in sums))


def _check_finite(totals: Tensor, step: int) -> None:
    if not torch.isfinite(totals[LOSS_TERMS.index("total")]):
        raise FloatingPointError(f"the loss is not finite by step {step}")


def _copy_of_weights(model: Classifier) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def _progress(row: dict[str, float], metric: str, epochs: int) -> str:
    return (
        f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss_total']:.4f}  "
        f"selection {metric} {row[f'selection_{metric}']:.4f}  "
        f"CMI class {row['selection_class_cmi']:.4f} feature {row['selection_feature_cmi']:.5f}"
    )
