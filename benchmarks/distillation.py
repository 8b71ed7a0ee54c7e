"""Rows per second of one epoch of distillation with the teacher's logits from disk, against a teacher in the loop.

There are two loops with a teacher: Trainer's (`peers.OnlineTeacher`), and ours with only this change. There the teacher
predicts each batch, in evaluation mode and without gradients. Timed for logits from disk: reading them, and the epoch's
steps. Timed for the loops: the epoch's steps. The teacher's pass over the train rows, which makes the logits, has its
own rate. One figure includes that pass, spread over the student's epochs. The relation loss has the teacher's pass in
its loop too, beside logits from disk. All take turns in their own processes.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, epoch_rate, predicting_rate, ready, timed_steps, warmed_up
from benchmarks.peers import online_teacher_rate
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, first_rows, prepared
from benchmarks.variants import MINILM, MINILM_BF16, Variant, in_turn
from src.core.method.batch import Batch
from src.core.models.classifier import Classifier, load_classifier
from src.core.models.tokenizer import load_tokenizer
from src.core.training.batches import LabelledTokens
from src.core.training.inference import predict
from src.data.prepared import PreparedTask
from src.kept_models import KeptModel
from src.params import RunSettings
from src.runs import load_logits, logits_table, split_logits
from src.system.files import write_parquet

OWN = (MINILM, MINILM_BF16)
AHEAD = 1.6


@dataclass(frozen=True)
class TaughtOnline(LabelledTokens):
    """A train split whose teacher predicts each batch when it is made."""

    teacher: Classifier = field(kw_only=True)

    def batch(self, *which: Any, **more: Any) -> tuple[dict[str, Tensor], Batch]:
        """The batch with the teacher's logits."""
        inputs, batch = super().batch(*which, **more)
        with torch.no_grad():
            return inputs, replace(batch, teacher_logits=self.teacher(**inputs).logits)


def figures(setting: Setting) -> list[Figure]:
    """The default study's teacher and student on vader-movie, in each variant."""
    return in_turn("KD epoch", setting.variants(OWN), partial(compared, setting))


def compared(setting: Setting, variant: Variant) -> list[Figure]:
    """Rows per second of all contenders in one variant, and their ratios."""
    params = setting.params_of(variant)
    teacher, student = params.teacher("vader-movie", "ce"), params.distilled_student("vader-movie", "kd")
    task = first_rows(prepared(setting, "vader-movie"), setting.steps_of(variant) * student.training.batch_size)
    starts = {
        "ours": (cached_rate, task, teacher, student),
        "the pass": (pass_rate, task, teacher),
        "Trainer, best": (online_teacher_rate, task, teacher, student),
        "our loop": (online_rate, task, teacher, student),
        "relations": (relation_rate, task, teacher, student),
    }
    with contenders(starts) as measures:
        rates = in_turns(measures, setting.repeats)
    ours, passes, related = (rates.pop(name) for name in ("ours", "the pass", "relations"))
    epochs = student.training.epochs
    whole = [epochs / (1 / once + epochs / each) for once, each in zip(passes, ours, strict=True)]
    return [
        median_figure(f"KD epoch{variant}: ours, logits on disk", ours, "rows/s"),
        median_figure(f"KD{variant}: the teacher's pass", passes, "rows/s"),
        *(median_figure(f"KD epoch{variant}: online teacher, {name}", one, "rows/s") for name, one in rates.items()),
        *(
            median_figure(f"KD epoch{variant}: ours / online teacher, {name}", ratios(ours, one), "x", at_least=AHEAD)
            for name, one in rates.items()
        ),
        median_figure(
            f"KD{variant}, {epochs} epochs and the pass: ours / online, our loop", ratios(whole, rates["our loop"]), "x"
        ),
        median_figure(f"KD epoch{variant}: ours / with the relation loss", ratios(ours, related), "x"),
    ]


def cached_rate(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """A function that measures our rate with logits from disk."""
    taught = ready(task, teacher)
    said = predict(taught.loaded.model, taught.loaded.tokens["train"], taught.accelerator).logits.numpy()
    run = warmed_up(ready(task, student, "student", said))

    def measure() -> float:
        reading, timed = reading_seconds(said, task), timed_steps(run, len(task.train))
        return timed.rows / (reading + timed.seconds)

    return measure


def pass_rate(task: PreparedTask, teacher: RunSettings) -> Callable[[], float]:
    """A function that measures the rate at which the teacher predicts the train rows."""
    return partial(predicting_rate, warmed_up(ready(task, teacher)))


def reading_seconds(logits: np.ndarray, task: PreparedTask) -> float:
    """The seconds to read a teacher's logits as the distillation stage does."""
    with tempfile.TemporaryDirectory() as folder:
        write_parquet(Path(folder) / "logits.parquet", logits_table({"train": logits}, {"train": task.train.row_ids}))
        began = time.perf_counter()
        split_logits(load_logits(Path(folder)), "train", task.train.row_ids, folder)
        return time.perf_counter() - began


def online_rate(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """A function that measures the rate of our own loop with the teacher in it."""
    run = with_online_teacher(ready(task, student, "student"), ready(task, teacher).loaded.model)
    return partial(epoch_rate, warmed_up(run))


def relation_rate(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """A function that measures our rate with the relation loss, whose teacher passes each batch too."""

    def load_teacher() -> KeptModel:
        tokenizer, max_length = load_tokenizer(teacher.model), teacher.training.max_length
        model = load_classifier(teacher.model, task.label_names, tokenizer.pad_token_id, seed=0)
        return KeptModel(teacher.model, model, tokenizer, max_length)

    own = replace(student, objective=student.objective.model_copy(update={"relation_weight": 1.0}))
    logits = np.zeros((len(task.train), len(task.label_names)), dtype=np.float32)
    return partial(epoch_rate, warmed_up(ready(task, own, "student", logits, load_teacher)))


def with_online_teacher(run: Ready, teacher: Classifier) -> Ready:
    """The same run with a teacher in its loop."""
    train, data = run.loaded.data.train, run.loaded.data
    parts = {field.name: getattr(train, field.name) for field in fields(train)}
    online = TaughtOnline(**parts, teacher=teacher.eval().requires_grad_(False))
    return replace(run, loaded=replace(run.loaded, data=replace(data, train=online)))
