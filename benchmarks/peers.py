"""Hugging Face `Trainer`, and distillation with a teacher in its loop.

They use our model, rows, batch size, maximum length, epochs, precision and threads.

`defaults` is the example script run_glue.py without options: it pads every row to max_seq_length and takes rows in
random order. Its optimiser is the default of `TrainingArguments`, in the pinned transformers the fused AdamW.
`best` has dynamic padding, rows grouped by length, and the fused AdamW.
`OnlineTeacher` distils like torchdistill and TextBrewer, neither of which is run: the teacher predicts every batch, in
evaluation mode and without gradients. It has the best options too, although these libraries do not group by length.

Timed, as for ours: from the start of the epoch to the end of its last step. Meanwhile Trainer does not evaluate, save,
log or show progress. Its tokenisation, loading and set-up are not timed.
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
    """The seconds from the start of the epoch to the end of its last step."""

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Start the watch."""
        self.began = now()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """Stop the watch."""
        self.seconds = now() - self.began


class OnlineTeacher(Trainer):
    """A Trainer of a student whose teacher predicts every batch."""

    def __init__(self, teacher: PreTrainedModel, objective: Objective, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.teacher, self.recipe = teacher.eval(), objective  # Trainer already has an attribute `objective`

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor | Any], return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        """The loss of distillation (docs/distillation.md)."""
        labels, alpha = inputs.pop("labels"), self.recipe.alpha
        with torch.no_grad(), self.accelerator.autocast():  # Trainer itself applies autocast only to the student
            said = self.teacher(**inputs).logits.float()
        logits = model(**inputs).logits
        kd = kd_kl(logits, said, self.recipe.temperature).mean()
        return (1 - alpha) * F.cross_entropy(logits, labels) + alpha * kd


def trainer_rate(
    task: PreparedTask, settings: RunSettings, best: bool, options: dict[str, Any] | None = None
) -> Callable[[], float]:
    """A function that measures Trainer's rows per second of one epoch over the train rows, after two steps to warm up.

    Args:
        task: the task.
        settings: our settings of the run.
        best: whether to use the best options, or the defaults.
        options: further `TrainingArguments`.
    """
    return _rate(Trainer, task, settings, (BEST if best else {}) | (options or {}), pad=not best)


def online_teacher_rate(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """A function like `trainer_rate`'s that measures distillation with the teacher in the loop."""
    distilling = partial(OnlineTeacher, _pretrained(task, teacher.model), student.objective)
    return _rate(distilling, task, student, BEST, pad=False)


def _rate(
    trainer: Callable[..., Trainer], task: PreparedTask, settings: RunSettings, options: dict, pad: bool
) -> Callable[[], float]:
    if settings.runtime.threads is not None:
        torch.set_num_threads(settings.runtime.threads)
    model, tokenizer = _pretrained(task, settings.model), AutoTokenizer.from_pretrained(_model_folder(settings.model))
    assert tokenizer is not None  # its type allows None
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
    """A model with as many layers as ours. It takes the first layers, because all have the same speed."""
    layers = {} if source.layers is None else {"num_hidden_layers": len(source.layers)}
    labels = {"num_labels": len(task.label_names), "ignore_mismatched_sizes": True}
    return AutoModelForSequenceClassification.from_pretrained(
        _model_folder(source), dtype=torch.float32, **labels, **layers
    )


def _options(scratch: str, settings: RunSettings) -> dict:
    """The arguments that give Trainer the same work as ours, and that keep it from other work while it is timed."""
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
