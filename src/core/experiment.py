"""One run from a prepared task to saved results: what the training stages share."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from src.core.checkpoints import checkpoints_of, run_key
from src.core.cuda_graphs import replay_training
from src.core.dropout import use_cpu_dropout
from src.core.encoding import EncodedSplit, encode
from src.core.environment import environment, start, uses_cuda_graphs
from src.core.inference import predict
from src.core.losses import KD_LOSSES
from src.core.models import Classifier, check_vocabulary, load_classifier, load_tokenizer
from src.core.objectives import NO_LABEL, Outputs
from src.core.randomness import stream_seed
from src.core.splits import LabelledSplit, TrainingData
from src.core.training import TrainingResult, train
from src.core.vocabulary import CompactVocabulary
from src.data.prepared import PreparedTask
from src.errors import UserError, first_line
from src.files import write_json
from src.params import RunSettings
from src.runs import TIMING_FOLDER, RunName, RunResult, logits_table, save_run


def run_arguments(description: str, *choices: str, optional: str | None = None) -> argparse.Namespace:
    """The command line of a training stage: --task, --seed, the options named in `choices`, and an optional one."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    if optional is not None:
        parser.add_argument(f"--{optional}")
    return parser.parse_args()


@dataclass(frozen=True)
class Loaded:
    """A run ready to train: its model and tokenizer, its tokenised splits, and what of them training reads.

    Tokens are numbered as `vocabulary` numbers them.
    """

    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    vocabulary: CompactVocabulary
    tokens: dict[str, EncodedSplit]
    data: TrainingData

    def savers(self) -> list[Callable[[Path], object]]:
        """What writes the model, with its whole vocabulary, and its tokenizer to a folder."""
        self.vocabulary.restore()
        return [self.model.model.save_pretrained, self.tokenizer.save_pretrained]

    def tensors(self) -> Iterator[Tensor]:
        """All that determines the run besides settings and code: first weights, tokens, labels, teacher's logits."""
        yield from self.model.state_dict().values()
        for split in (self.data.train, self.data.selection):
            yield from (split.tokens.ids, split.tokens.lengths, split.labels)
            yield from (extra for extra in (split.tokens.segments, split.teacher_logits) if extra is not None)


def carry_out(
    run: RunName, task: PreparedTask, settings: RunSettings, teacher_logits: np.ndarray | None = None
) -> None:
    """Train one model, or go on from its last checkpoint, and save what it leaves (see `src.runs`).

    Args:
        teacher_logits: (N, C) for the N train rows and, where the objective wants them, the transfer rows after them.

    Raises:
        UserError: the settings do not fit the task, the loss is not finite, or memory or disk are full.
        Stopped: a signal came.
    """
    lap = _laps()
    accelerator = start(settings.runtime)
    accelerator.print(f"{run}: {len(task.train)} train rows, {settings.training.epochs} epochs", flush=True)
    _check_fit(run, task, settings, accelerator.num_processes)
    with _explained(run):
        loaded = load(run, task, settings, teacher_logits)
        description = describe(run, settings, accelerator)
        key = run_key([description, task.metrics, task.label_names, settings.runtime.diagnostic_rows], loaded.tensors())
        with checkpoints_of(run, key, settings.checkpoints, accelerator) as checkpoints:
            seconds = {"load_seconds": lap()}
            trained = (settings.objective, loaded.data, settings.training, run.seed)
            result = train(loaded.model, *trained, accelerator, checkpoints)
            seconds |= {"train_seconds": lap()}
            outputs = {split: predict(loaded.model, loaded.tokens[split], accelerator) for split in asked(run, task)}
            if accelerator.is_main_process:
                found = run_result(description, result, outputs, task, settings.runtime.feature_rows)
                save_run(run.folder(), found, loaded.savers() if settings.runtime.keep_weights else ())
    if accelerator.is_main_process:
        write_timing(run, result, len(loaded.data.train.labels), seconds | {"predict_seconds": lap()})
    accelerator.end_training()


def load(run: RunName, task: PreparedTask, settings: RunSettings, teacher_logits: np.ndarray | None) -> Loaded:
    """Tokenise the task and load the model that the run starts from.

    Raises:
        UserError: the model cannot be used (see `src.core.models`).
    """
    source, max_length = settings.model, settings.training.max_length
    tokenizer = load_tokenizer(source)
    trained = ["train", *(["transfer"] if settings.objective.transfer else [])]
    splits = dict.fromkeys([*trained, *asked(run, task)])
    tokens = {split: encode(getattr(task, split).texts, tokenizer, max_length) for split in splits}
    longest = max(int(split.lengths.max()) for split in tokens.values())
    model = load_classifier(source, task.label_names, tokenizer.pad_token_id, stream_seed(run.seed, "head"), longest)
    check_vocabulary(source, model, tokens.values())
    if not torch.accelerator.is_available():
        use_cpu_dropout(model.model)
    if uses_cuda_graphs(settings.runtime):
        replay_training(model, tokenizer.pad_token_id)
    vocabulary = CompactVocabulary(model.model, tokens.values(), tokenizer.pad_token_id)
    tokens = {split: vocabulary.numbered(encoded) for split, encoded in tokens.items()}
    transfer = tokens["transfer"] if settings.objective.transfer else None
    learnt = learnt_rows(len(task.train), settings.training.train_share, run.seed)
    data = training_data(task, tokens, transfer, learnt, settings.runtime.diagnostic_rows, teacher_logits)
    return Loaded(model, tokenizer, vocabulary, tokens, data)


def asked(run: RunName, task: PreparedTask) -> list[str]:
    """The splits that a run predicts: a teacher also those that its students learn from."""
    taught = ["train", *(["transfer"] if len(task.transfer) else [])]
    tested = ["test", *(["also_test"] if task.also_test is not None else [])]
    return [*(taught if run.role == "teacher" else []), "selection", *tested]


@contextmanager
def _explained(run: RunName) -> Iterator[None]:
    """Say of a loss that is not finite, and of too little memory, what the user can do about it."""
    try:
        yield
    except FloatingPointError as error:
        allowed = "lower lr, cmi_weight or separation_weight of this arm in params.yaml"
        raise UserError(run, str(error), allowed) from None
    except (MemoryError, RuntimeError) as error:
        # On the CPU torch has no error of its own for this.
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "allocate memory" not in str(error):
            raise
        allowed = "lower batch_size or max_length in params.yaml, set precision to bf16, or take a smaller model"
        raise UserError(run, f"out of memory ({first_line(error)})", allowed) from None


def _check_fit(run: RunName, task: PreparedTask, settings: RunSettings, processes: int) -> None:
    """Settings that params.yaml allows but that this task or this launch cannot use."""
    objective, batch_size = settings.objective, settings.training.batch_size
    fitting = [name for name, distance in KD_LOSSES.items() if distance.fits(len(task.label_names), processes)]
    if run.role == "student" and objective.alpha > 0 and objective.kd_loss not in fitting:
        problem = f"kd_loss {objective.kd_loss} {KD_LOSSES[objective.kd_loss].limit}"
        raise UserError(run, problem, f"allowed here: {', '.join(fitting)}")
    share = settings.training.train_share
    counts = {"batch_size": batch_size} | ({"train_share": round(share * len(task.train))} if share < 1 else {})
    for key, count in counts.items():
        if count < 2 * processes:
            problem = f"{key} {getattr(settings.training, key)} leaves some of {processes} processes without rows"
            raise UserError(run, problem, f"at least {2 * processes} rows")
    if processes > 1 and uses_cuda_graphs(settings.runtime):
        raise UserError(run, f"runtime.cuda_graphs is on, and there are {processes} processes", "false, or one process")


def learnt_rows(rows: int, share: float, seed: int) -> Tensor:
    """The numbers of the train rows that a run learns from, alike for all arms of a seed.

    A larger share holds those of a smaller one.
    """
    if share == 1:
        return torch.arange(rows)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(stream_seed(seed, "rows")))
    return order[: max(round(share * rows), 1)].sort().values


def training_data(
    task: PreparedTask,
    tokens: dict[str, EncodedSplit],
    transfer: EncodedSplit | None,
    learnt: Tensor,
    diagnostic_rows: int,
    teacher_logits: np.ndarray | None,
) -> TrainingData:
    """The tokenised task as the training loop wants it, transfer rows (without labels) after the train rows.

    `learnt` are the numbers of the train rows that are learnt from. Prepared splits are shuffled: the first rows are a
    sample.
    """
    labels, train_tokens = torch.tensor(task.train.labels), tokens["train"]
    labelled = LabelledSplit(train_tokens, labels).rows(learnt)
    taken = torch.cat([learnt, torch.arange(len(labels), len(labels) + (0 if transfer is None else len(transfer)))])
    if transfer is not None:
        labels = torch.cat([labels, torch.full((len(transfer),), NO_LABEL)])
        train_tokens = train_tokens.joined(transfer)
    teacher = None if teacher_logits is None else torch.tensor(teacher_logits)
    return TrainingData(
        train=LabelledSplit(train_tokens, labels, teacher).rows(taken),
        selection=LabelledSplit(tokens["selection"], torch.tensor(task.selection.labels)),
        diagnostic=labelled.first(diagnostic_rows),
        num_classes=len(task.label_names),
        metrics=task.metrics,
    )


def describe(run: RunName, settings: RunSettings, accelerator: Accelerator) -> dict[str, Any]:
    """What fixes a run, as plain values. Nothing in it changes from one equal run to the next."""
    return {
        "run": {"task": run.task, "role": run.role, "arm": run.arm, "seed": run.seed},
        "model": settings.model.model_dump(),
        "objective": settings.objective.model_dump(),
        "training": settings.training.model_dump(),
        "environment": environment(accelerator, settings.runtime),
    }


def run_result(
    description: dict[str, Any],
    result: TrainingResult,
    outputs: dict[str, Outputs],
    task: PreparedTask,
    feature_rows: int,
) -> RunResult:
    """Everything a run leaves but its weights."""
    row_ids = {split: getattr(task, split).row_ids for split in outputs}
    end = {"best_epoch": result.best_epoch, "epochs": len(result.history), "steps": result.steps}
    return RunResult(
        record=description | end,
        history=pd.DataFrame(result.history),
        logits=logits_table({split: values.logits.numpy() for split, values in outputs.items()}, row_ids),
        features={split: outputs[split].features[:feature_rows].numpy().copy() for split in ("selection", "test")},
    )


def write_timing(run: RunName, result: TrainingResult, train_rows: int, seconds: dict[str, float]) -> None:
    """Seconds of a run's parts, and train rows a second; of what was done since a checkpoint, where it resumed.

    The rate has the evaluation after each epoch in it.
    """
    rows = train_rows * len(result.history) * (1 - result.resumed_at / result.steps)
    rate = {"rows_per_second": rows / seconds["train_seconds"]}
    content = {name: round(value, 3) for name, value in (seconds | rate).items()}
    write_json(run.folder(TIMING_FOLDER).with_suffix(".json"), content | {"resumed_at_step": result.resumed_at})


def _laps() -> Callable[[], float]:
    """A stopwatch: each call gives the seconds since the one before."""
    times = [time.perf_counter()]

    def lap() -> float:
        times.append(time.perf_counter())
        return times[-1] - times[-2]

    return lap
