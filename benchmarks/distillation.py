"""One epoch of distillation: the teacher's logits read from disk, against a teacher that runs for every batch.

The second is how torchdistill and TextBrewer work: the teacher in evaluation mode, without gradients, on each batch
of the same loop. Timed for ours: reading the logits, and the epoch's steps. For the other: the epoch's steps. Not
timed: the teacher's one pass that made the logits, which the fine-tuning stage makes anyway.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, ready, timed_steps, warmed_up
from benchmarks.processes import contenders, in_turns
from benchmarks.scratch import Setting, first_rows, prepared
from src.core.inference import predict
from src.core.models import Classifier
from src.core.objectives import Batch
from src.core.splits import LabelledSplit
from src.data.prepared import PreparedTask
from src.files import write_parquet
from src.params import RunSettings
from src.runs import load_logits, logits_table, split_logits

AHEAD = 1.6


@dataclass(frozen=True)
class TaughtOnline(LabelledSplit):
    """A train split whose teacher speaks when a batch is made."""

    teacher: Classifier | None = None

    def batch(self, *arguments: object) -> tuple[dict[str, torch.Tensor], Batch]:
        """The batch with what the teacher says of it."""
        inputs, batch = super().batch(*arguments)
        with torch.no_grad():
            return inputs, replace(batch, teacher_logits=self.teacher(**inputs).logits)


def figures(setting: Setting) -> list[Figure]:
    """The default study's teacher and student on vader-movie."""
    teacher, student = setting.params.teacher("ce"), setting.params.distilled_student("kd")
    task = first_rows(prepared(setting, "vader-movie"), setting.steps * student.training.batch_size)
    with contenders({"ratio": (online_over_cached, task, teacher, student)}) as measures:
        rounds = in_turns(measures, setting.repeats)["ratio"]
    return [median_figure("KD epoch: online teacher / ours, logits on disk", rounds, "x", at_least=AHEAD)]


def online_over_cached(task: PreparedTask, teacher: RunSettings, student: RunSettings) -> Callable[[], float]:
    """What measures the ratio: one epoch of each, one after the other."""
    taught = ready(task, teacher)
    said = predict(taught.loaded.model, taught.loaded.tokens["train"], taught.accelerator).logits.numpy()
    cached = warmed_up(ready(task, student, "student", said))
    online = warmed_up(with_online_teacher(ready(task, student, "student", said), taught.loaded.model))

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            write_parquet(Path(folder) / "logits.parquet", logits_table({"train": said}, {"train": task.train.row_ids}))
            began = time.perf_counter()
            split_logits(load_logits(Path(folder)), "train", task.train.row_ids, folder)
            reading = time.perf_counter() - began
        ours = reading + timed_steps(cached, len(task.train)).seconds
        return timed_steps(online, len(task.train)).seconds / ours

    return measure


def with_online_teacher(run: Ready, teacher: Classifier) -> Ready:
    """The same run with a teacher in its loop."""
    train, data = run.loaded.data.train, run.loaded.data
    parts = {field.name: getattr(train, field.name) for field in fields(train)}
    online = TaughtOnline(**parts | {"teacher_logits": None}, teacher=teacher.eval().requires_grad_(False))
    return replace(run, loaded=replace(run.loaded, data=replace(data, train=online)))
