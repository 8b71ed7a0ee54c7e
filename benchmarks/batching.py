"""The share of a run's training time that tokenisation and batching take.

Timed: tokenising every split once; ordering the rows and making the batches of one epoch; and the steps of one epoch.
The last two count once per epoch. Evaluation after each epoch is left out: it would make the share smaller.
"""

import time
from collections.abc import Callable

import torch

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, ready, timed_steps, warmed_up
from benchmarks.processes import contenders, in_turns
from benchmarks.scratch import Setting, prepared
from src.core.models.encoding import encode, training_batches
from src.data.prepared import SPLITS, PreparedTask
from src.params import RunSettings

MOST = 3.0


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on all rows of vader-movie."""
    settings = setting.params.teacher("vader-movie", "ce")
    task = prepared(setting, "vader-movie")
    with contenders({"share": (data_share, task, settings, setting.steps)}) as measures:
        rounds = in_turns(measures, setting.repeats)["share"]
    return [median_figure("tokenisation and batching / training time", rounds, "%", at_most=MOST)]


def data_share(task: PreparedTask, settings: RunSettings, steps: int) -> Callable[[], float]:
    """A function that measures the share in percent."""
    run = warmed_up(ready(task, settings))

    def measure() -> float:
        tokenising, batching = tokenising_seconds(run, task), batching_seconds(run)
        timed = timed_steps(run, steps)
        epoch = timed.seconds / timed.rows * len(task.train)
        epochs = settings.training.epochs
        return 100 * (tokenising + epochs * batching) / (tokenising + epochs * epoch)

    return measure


def tokenising_seconds(run: Ready, task: PreparedTask) -> float:
    """The seconds to tokenise all splits once."""
    began = time.perf_counter()
    for split in SPLITS:
        encode(task.splits[split].texts, run.loaded.tokenizer, run.settings.training.max_length)
    return time.perf_counter() - began


def batching_seconds(run: Ready) -> float:
    """The seconds to order the rows of one epoch and to make its batches."""
    train, training = run.loaded.data.train, run.settings.training
    began = time.perf_counter()
    for rows in training_batches(train.tokens.lengths, training.batch_size, torch.Generator().manual_seed(0)):
        train.batch(rows, 0, 1, 0.0, run.accelerator.device)
    return time.perf_counter() - began
