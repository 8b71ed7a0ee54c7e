"""An exported model on the task's test rows: how far it is from torch, and what it scores."""

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
FARTHEST = 1e-4  # that a number of the float model may be from torch's
ALONE = 3  # rows that are also asked for one by one: the example that was traced had two


@dataclass(frozen=True)
class RowsOfTest:
    """A task's test rows as a kept model sees them, their labels (N,), what torch says of them, and what the run said.

    `labels_of_run` (N,) are those that the run itself predicted, in its own precision.
    """

    tokens: EncodedSplit
    labels: np.ndarray
    of_torch: Outputs
    labels_of_run: np.ndarray


@dataclass(frozen=True)
class Checked:
    """What came of it: scores by file, the largest differences of logits and of h, and rows labelled as by the run."""

    rows: int
    metric: str
    scores: dict[str, float]
    logits_apart: float
    h_apart: float
    as_the_run: int


def rows_of_test(run: RunName, task: PreparedTask, kept: KeptModel) -> RowsOfTest:
    """The test rows of the task, predicted by torch in float32.

    Raises:
        UserError: the task has been prepared anew since the run.
    """
    split = task.splits["test"]
    own = split_logits(load_logits(run.folder()), "test", split.row_ids, run.folder())
    tokens = encode(split.texts, kept.tokenizer, kept.max_length)
    labels = of_seed(load_test_labels(run.task), run.seed).set_index("row_id")["label"].loc[split.row_ids].to_numpy()
    return RowsOfTest(tokens, labels, predict(kept.model, tokens, Accelerator(cpu=True)), own.argmax(axis=1))


def check(folder: Path, rows: RowsOfTest, metric: str, threads: int | None) -> Checked:
    """Ask the models of a folder for the test rows.

    Raises:
        UserError: the float model differs from torch.
    """
    exact = OnnxModel(folder / FLOAT, threads)
    found = {FLOAT: exact.outputs(rows.tokens, BATCH_ON_CPU)}
    logits_apart, h_apart = largest_differences(exact, rows, found[FLOAT])
    if not max(logits_apart, h_apart) <= FARTHEST:  # NaN is not
        problem = f"logits are up to {logits_apart:.1e} and h up to {h_apart:.1e} from torch's on the test rows"
        raise UserError("--format onnx", problem, f"at most {FARTHEST:.0e}; nothing was written")
    if (folder / INT8).is_file():
        found[INT8] = OnnxModel(folder / INT8, threads).outputs(rows.tokens, BATCH_ON_CPU)
    scores = {file: task_scores([metric], rows.labels, said.logits.numpy())[metric] for file, said in found.items()}
    same = int((found[FLOAT].logits.argmax(dim=1).numpy() == rows.labels_of_run).sum())
    return Checked(len(rows.tokens), metric, scores, logits_apart, h_apart, same)


def largest_differences(model: OnnxModel, rows: RowsOfTest, found: Outputs) -> tuple[float, float]:
    """Between a model and torch, of logits and of h, in batches of many lengths and, for the first rows, of one row."""
    alone = model.outputs(rows.tokens.first(ALONE), batch_size=1)
    pairs = zip(found, alone, rows.of_torch, strict=True)
    apart = [torch.cat([many - torch_, one - torch_[:ALONE]]).abs().max() for many, one, torch_ in pairs]
    return float(apart[0]), float(apart[1])
