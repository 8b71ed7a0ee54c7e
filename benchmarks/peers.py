"""Hugging Face `Trainer`, and distillation with a teacher in its loop.

Model, rows, batch size, maximum length, epochs, precision and threads are ours.

`defaults` is what the example script run_glue.py does with no options of its own: every row padded to
max_seq_length (its pad_to_max_length is true by default), rows in random order, and the optimiser that
`TrainingArguments` names by default (with the pinned transformers that is the fused AdamW already; it was not always).
`best` has dynamic padding, rows grouped by length, and the fused AdamW asked for by name.
`OnlineTeacher` distils as torchdistill and TextBrewer do (neither is run here): the teacher, in evaluation mode and
without gradients, is asked for every batch. It gets the best options too, though these two do not group by length.

Timed, as for ours: from the start of the epoch to the end of its last step. Trainer does not evaluate, save, log or
show progress meanwhile, and its tokenisation, loading and set-up are not timed.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from benchmarks.ours import now
from src.core.machine.device import precision_of
from src.core.method.losses import kd_kl
from src.data.prepared import PreparedTask
from src.fetching.archives import model_folder
from src.params import ModelSource, Objective, RunSettings

Rows = list[dict[str, Any]]
BEST = {"optim": "adamw_torch_fused", "train_sampling_strategy": "group_by_length"}


class Stopwatch(TrainerCallback):
    """The seconds from the start of the epoch to its end, which is that of its last step."""

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Start."""
        self.began = now()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """Stop."""
        self.seconds = now() - self.began


class OnlineTeacher(Trainer):
    """A Trainer of a student whose teacher speaks for every batch."""

    def __init__(self, teacher: PreTrainedModel, objective: Objective, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.teacher, self.recipe = teacher.eval(), objective  # Trainer has an `objective` of its own

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor | Any], return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        """The loss of distillation (docs/distillation.md)."""
        labels, alpha = inputs.pop("labels"), self.recipe.alpha
        with torch.no_grad(), self.accelerator.autocast():  # which Trainer itself puts around the student
            said = self.teacher(**inputs).logits.float()
        logits = model(**inputs).logits
        kd = kd_kl(logits, said, self.recipe.temperature).mean()
        return (1 - alpha) * F.cross_entropy(logits, labels) + alpha * kd


def trainer_rate(
    task: PreparedTask, settings: RunSettings, best: bool, options: dict[str, Any] | None = None
) -> Callable[[], float]:
    """What measures Trainer: rows per second of one epoch over the task's train rows; warmed up with two steps.

    Args:
        options: more of `TrainingArguments`.
    """
    return _rate(Trainer, task, settings, (BEST if best else {}) | (options or {}), pad=not best)


def online_teacher_rate(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """What measures distillation with the teacher in the loop; as `trainer_rate`."""
    distilling = partial(OnlineTeacher, _pretrained(task, teacher.model), student.objective)
    return _rate(distilling, task, student, BEST, pad=False)


def _rate(
    trainer: Callable[..., Trainer], task: PreparedTask, settings: RunSettings, options: dict, pad: bool
) -> Callable[[], float]:
    if settings.runtime.threads is not None:
        torch.set_num_threads(settings.runtime.threads)
    model, tokenizer = _pretrained(task, settings.model), AutoTokenizer.from_pretrained(_model_folder(settings.model))
    assert tokenizer is not None  # which its type allows
    rows = _encoded(task, tokenizer, settings.training.max_length, pad)
    collator = default_data_collator if pad else DataCollatorWithPadding(tokenizer)
    parts = {"model": model, "processing_class": tokenizer, "data_collator": collator}

    def measure(measured: Rows = rows) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            arguments = TrainingArguments(**_options(scratch, settings) | options)
            return len(measured) / _epoch_seconds(partial(trainer, args=arguments, train_dataset=measured, **parts))

    measure(rows[: 2 * settings.training.batch_size])
    return measure


def _epoch_seconds(trainer: Callable[..., Trainer]) -> float:
    watch = Stopwatch()
    ready = trainer(callbacks=[watch])
    ready.remove_callback(PrinterCallback)
    ready.train()
    return watch.seconds


def _pretrained(task: PreparedTask, source: ModelSource) -> PreTrainedModel:
    """A model with as many layers as ours: the first ones, since which they are does not change their speed."""
    layers = {} if source.layers is None else {"num_hidden_layers": len(source.layers)}
    labels = {"num_labels": len(task.label_names), "ignore_mismatched_sizes": True}
    return AutoModelForSequenceClassification.from_pretrained(
        _model_folder(source), dtype=torch.float32, **labels, **layers
    )


def _options(scratch: str, settings: RunSettings) -> dict:
    """What is the same work as ours, and what keeps Trainer from doing anything else while it is timed."""
    training = settings.training
    return {
        "output_dir": scratch,
        "per_device_train_batch_size": training.batch_size,
        "num_train_epochs": 1,
        "learning_rate": training.lr,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "bf16": precision_of(settings.runtime) == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _encoded(task: PreparedTask, tokenizer: PreTrainedTokenizerBase, max_length: int, pad: bool) -> Rows:
    columns = [list(column) for column in zip(*task.train.texts, strict=True)]
    padding = "max_length" if pad else False
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, padding=padding)
    names, columns = zip(*encoded.items(), ("label", task.train.labels.tolist()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _model_folder(source: ModelSource) -> str:
    return str(model_folder(source.name)) if source.source == "pypi" else source.name
