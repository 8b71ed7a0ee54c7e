"""The training loop: one model, one objective, the epoch with the best selection score.

One seed fixes the head, the data order and dropout, each from a stream of its own, so that arms with one seed
are paired: they see the same rows in the same batches under the same dropout masks.
"""

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
from src.core.objectives import LOSS_TERMS, Outputs, RunObjective
from src.errors import UserError
from src.params import Training

STREAMS = {"head": 0, "order": 1, "dropout": 2}
FINITE_CHECK_EVERY = 50  # steps; a check makes a GPU wait


@dataclass(frozen=True)
class LabelledSplit:
    """A tokenised split with its labels (N,) and, where there is a teacher, the teacher's logits (N, C)."""

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
    objective: RunObjective,
    data: TrainingData,
    settings: Training,
    seed: int,
    accelerator: Accelerator,
) -> TrainingResult:
    """Train a model in place and leave it with the weights of its best epoch.

    The best epoch is that with the highest first metric on selection, ties broken by the lower selection NLL.

    Raises:
        UserError: the loss is not finite.
    """
    lengths = data.train.tokens.lengths
    steps_per_epoch = len(training_batches(lengths, settings.batch_size, torch.Generator()))
    wrapped, optimizer, schedule = _prepare(model, settings, steps_per_epoch, accelerator)
    history, best, best_epoch, best_weights = [], (-np.inf, -np.inf), 0, None
    for epoch in range(settings.epochs):
        objective.start_epoch(epoch, lambda: _train_sums(model, objective, data, accelerator))
        order = torch.Generator().manual_seed(stream_seed(seed, "order", epoch))
        batches = training_batches(lengths, settings.batch_size, order)
        torch.manual_seed(stream_seed(seed, "dropout", epoch, accelerator.process_index))
        losses = _train_epoch(wrapped, objective, data.train, batches, optimizer, schedule, settings, accelerator)
        row = {"epoch": epoch + 1} | losses | diagnose(model, data, accelerator)
        history.append(row)
        accelerator.print(_progress(row, data.metrics[0], settings.epochs), flush=True)
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
    """CMI, Gamma and NCMI of outputs in both spaces at tau = 1, and the mean norm of h, keyed by `name`."""
    row = {}
    for space, scores in (("class", outputs.logits), ("feature", outputs.features)):
        for measure_name, value in measure(scores, labels, num_classes)._asdict().items():
            row[f"{name}_{space}_{measure_name}"] = value
    row[f"{name}_feature_norm"] = float(outputs.features.norm(dim=1).mean())
    return row


def _prepare(model: Classifier, settings: Training, steps_per_epoch: int, accelerator: Accelerator):
    """The model, AdamW and the linear schedule with warm-up, made ready for the device and the processes."""
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]  # biases and layer norms
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    steps = steps_per_epoch * settings.epochs
    schedule = get_linear_schedule_with_warmup(optimizer, round(settings.warmup * steps), steps)
    return wrapped, optimizer, schedule


def _train_epoch(
    model: torch.nn.Module,
    objective: RunObjective,
    split: LabelledSplit,
    batches: list[Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    settings: Training,
    accelerator: Accelerator,
) -> dict[str, float]:
    """One pass over the batches; the mean of each loss term."""
    model.train()
    totals = torch.zeros(len(LOSS_TERMS), device=accelerator.device)
    for step, rows in enumerate(tqdm(batches, leave=False, disable=None if accelerator.is_main_process else True)):
        own_rows = rows[accelerator.process_index :: accelerator.num_processes]
        inputs, labels, teacher_logits = _batch(split, own_rows, accelerator.device)
        with accelerator.autocast():
            outputs = model(**inputs)
        terms = objective(outputs, labels, teacher_logits, len(rows))
        accelerator.backward(terms.total)
        accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        totals += terms.values() * len(rows)
        if step % FINITE_CHECK_EVERY == 0:
            _check_finite(totals)
    _check_finite(totals)
    means = accelerator.reduce(totals, "mean") / len(split.labels)
    return {f"loss_{name}": float(value) for name, value in zip(LOSS_TERMS, means.tolist(), strict=True)}


def _batch(split: LabelledSplit, rows: Tensor, device: torch.device):
    """The model's inputs, the labels and the teacher's logits (or None) of some rows."""
    inputs = {name: values.to(device) for name, values in split.tokens.batch(rows).items()}
    teacher_logits = None if split.teacher_logits is None else split.teacher_logits[rows].to(device)
    return inputs, split.labels[rows].to(device), teacher_logits


def _train_sums(model: Classifier, objective: RunObjective, data: TrainingData, accelerator: Accelerator) -> ClassSums:
    """Class sums of p over the whole train split, for the centroids that look at it."""
    outputs = predict(model, data.train.tokens, accelerator)
    p = log_probabilities(objective.space(outputs), objective.settings.tau).exp()
    return ClassSums(*(part.to(accelerator.device) for part in class_sums(p, data.train.labels, data.num_classes)))


def _check_finite(totals: Tensor) -> None:
    if not torch.isfinite(totals[LOSS_TERMS.index("total")]):
        allowed = "lower the learning rate, or the size of cmi_weight and separation_weight, of this arm"
        raise UserError("training", "the loss is not finite", allowed)


def _copy_of_weights(model: Classifier) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def _progress(row: dict[str, float], metric: str, epochs: int) -> str:
    return (
        f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss_total']:.4f}  "
        f"selection {metric} {row[f'selection_{metric}']:.4f}  "
        f"CMI class {row['selection_class_cmi']:.4f} feature {row['selection_feature_cmi']:.5f}"
    )
