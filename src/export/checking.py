"""Checks an exported model on the task's test rows: its difference from torch, and its scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from src.core.method.spaces import Outputs
from src.core.metrics import task_scores
from src.core.models.encoding import EncodedSplit, encode
from src.core.training.inference import BATCH_ON_CPU, predict
from src.data.prepared import PreparedTask, load_test_labels
from src.export.session import OnnxModel
from src.kept_models import KeptModel
from src.runs import RunName, load_logits, split_logits
from src.study.records.task_records import of_seed
from src.system.errors import UserError

FLOAT, INT8 = "model.onnx", "model.int8.onnx"
FARTHEST = 1e-4  # the largest difference allowed between a number of the float model and torch's
ALONE = 3  # rows that are also predicted one by one, because the traced example had two


@dataclass(frozen=True)
class RowsOfTest:
    """A task's test rows: their tokens, labels (N,), and torch's outputs.

    `labels_of_run` (N,) has the labels that the run itself predicted, in its own precision.
    """

    tokens: EncodedSplit
    labels: np.ndarray
    of_torch: Outputs
    labels_of_run: np.ndarray


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    Attributes:
        rows: number of test rows.
        metric: the metric of the scores.
        scores: by file.
        logits_apart, h_apart: the largest differences from torch.
        as_the_run: number of rows with the label that the run predicted.
    """

    rows: int
    metric: str
    scores: dict[str, float]
    logits_apart: float
    h_apart: float
    as_the_run: int


def rows_of_test(run: RunName, task: PreparedTask, kept: KeptModel) -> RowsOfTest:
    """The test rows of the task, predicted by torch in float32.

    Raises:
        UserError: the prepared task has other rows than the run had.
    """
    split = task.splits["test"]
    own = split_logits(load_logits(run.folder()), "test", split.row_ids, run.folder())
    tokens = encode(split.texts, kept.tokenizer, kept.max_length)
    labels = of_seed(load_test_labels(run.task), run.seed).set_index("row_id")["label"].loc[split.row_ids].to_numpy()
    return RowsOfTest(tokens, labels, predict(kept.model, tokens, Accelerator(cpu=True)), own.argmax(axis=1))


def check(folder: Path, rows: RowsOfTest, metric: str, threads: int | None) -> Checked:
    """Predict the test rows with the models of a folder.

    Raises:
        UserError: the float model differs from torch.
    """
    exact = OnnxModel(folder / FLOAT, threads)
    found = {FLOAT: exact.outputs(rows.tokens, BATCH_ON_CPU)}
    logits_apart, h_apart = largest_differences(exact, rows, found[FLOAT])
    if not max(logits_apart, h_apart) <= FARTHEST:  # also true for NaN
        problem = (
            f"logits differ from torch's by up to {logits_apart:.1e} on the test rows, and h by up to {h_apart:.1e}"
        )
        raise UserError("--format onnx", problem, f"allowed: at most {FARTHEST:.0e}. Nothing was written")
    if (folder / INT8).is_file():
        found[INT8] = OnnxModel(folder / INT8, threads).outputs(rows.tokens, BATCH_ON_CPU)
    scores = {file: task_scores([metric], rows.labels, said.logits.numpy())[metric] for file, said in found.items()}
    same = int((found[FLOAT].logits.argmax(dim=1).numpy() == rows.labels_of_run).sum())
    return Checked(len(rows.tokens), metric, scores, logits_apart, h_apart, same)


def largest_differences(model: OnnxModel, rows: RowsOfTest, found: Outputs) -> tuple[float, float]:
    """The largest differences of logits and of h between a model and torch.

    Batches have many lengths. The first rows are also predicted in batches of one row.
    """
    alone = model.outputs(rows.tokens.first(ALONE), batch_size=1)
    pairs = zip(found, alone, rows.of_torch, strict=True)
    apart = [torch.cat([many - torch_, one - torch_[:ALONE]]).abs().max() for many, one, torch_ in pairs]
    return float(apart[0]), float(apart[1])
