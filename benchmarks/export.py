"""Rows per second of an exported student on the CPU: onnxruntime in 8 bits and in float32, and torch.

Timed: passes over the same test rows, in the batches and with the threads of a run. Not timed: tokenisation, loading
and the export. The student is untrained, because its weights do not change the time. All take turns, each in its own
process.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import now
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, prepared
from src.core.machine.environment import start
from src.core.models.classifier import Classifier, load_classifier
from src.core.models.encoding import EncodedSplit, encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.first_token import compute_first_token_only
from src.core.training.inference import BATCH_ON_CPU, predict
from src.data.prepared import PreparedTask
from src.export.extra import check_extra
from src.export.graph import input_names, write_graph
from src.export.int8 import write_int8
from src.export.session import OnnxModel
from src.params import RunSettings
from src.system.errors import UserError

NAME = "predicting vader-movie, student"


def figures(setting: Setting) -> list[Figure]:
    """The default student on test rows of vader-movie."""
    try:
        check_extra()
    except UserError as error:
        return [skipped(f"{NAME}: ONNX int8 / torch", "x", str(error))]
    task, settings = prepared(setting, "vader-movie"), setting.params.plain_student("vader-movie", "plain")
    rows = setting.steps * settings.training.batch_size
    exact, small = exported(setting.root, task, settings)
    starts = {
        "torch": (torch_rate, task, settings, rows),
        "ONNX": (onnx_rate, exact, task, settings, rows),
        "ONNX int8": (onnx_rate, small, task, settings, rows),
    }
    with contenders(starts) as measures:
        found = in_turns(measures, setting.repeats)
    pairs = (("ONNX int8", "torch"), ("ONNX int8", "ONNX"), ("ONNX", "torch"))
    return [
        *(median_figure(f"{NAME}: {name}", rates, "rows/s") for name, rates in found.items()),
        *(median_figure(f"{NAME}: {one} / {other}", ratios(found[one], found[other]), "x") for one, other in pairs),
    ]


def exported(folder: Path, task: PreparedTask, settings: RunSettings) -> tuple[Path, Path]:
    """The student as ONNX, in float32 and in 8 bits."""
    model, tokens = student(task, settings, 1)
    exact, small = folder / "model.onnx", folder / "model.int8.onnx"
    write_graph(model, input_names(model, tokens), exact)
    write_int8(exact, small)
    return exact, small


def student(task: PreparedTask, settings: RunSettings, rows: int) -> tuple[Classifier, EncodedSplit]:
    """The untrained student, and its tokens of the first test rows."""
    tokenizer = load_tokenizer(settings.model)
    model = load_classifier(settings.model, task.label_names, tokenizer.pad_token_id, seed=0)
    compute_first_token_only(model.model)
    return model.eval(), encode(task.splits["test"].texts[:rows], tokenizer, settings.training.max_length)


def torch_rate(task: PreparedTask, settings: RunSettings, rows: int) -> Callable[[], float]:
    """A function that measures torch's rate."""
    accelerator = start(settings.runtime)
    model, tokens = student(task, settings, rows)
    return rate_of(tokens, lambda: predict(model, tokens, accelerator))


def onnx_rate(path: Path, task: PreparedTask, settings: RunSettings, rows: int) -> Callable[[], float]:
    """A function that measures the rate of a model file in onnxruntime."""
    torch.set_num_threads(settings.runtime.threads or torch.get_num_threads())
    model, (_, tokens) = OnnxModel(path, settings.runtime.threads), student(task, settings, rows)
    return rate_of(tokens, lambda: model.outputs(tokens, BATCH_ON_CPU))


def rate_of(tokens: EncodedSplit, work: Callable[[], object]) -> Callable[[], float]:
    """A function that measures the rows per second of `work` on all rows. `work` runs once to warm up."""
    work()

    def measure() -> float:
        began = now()
        work()
        return len(tokens) / (now() - began)

    return measure
