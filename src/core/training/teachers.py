"""Teacher logits for distillation, computed once after the teacher's training, and a control that softens them.

The control: if a CMI-max teacher helped its student only by being softer or sharper, then another teacher brought to
the same CMI by a temperature would help as much (docs/method.md, Schedules and controls).
"""

from dataclasses import dataclass

import numpy as np
import torch

from src.core.method.cmi import measure
from src.data.prepared import PreparedTask
from src.errors import UserError
from src.runs import RunName, load_logits, split_logits

LOG_TEMPERATURES = np.linspace(np.log(0.05), np.log(20), 121)


def teacher_logits(task: PreparedTask, arm: str, seed: int, transfer: bool) -> np.ndarray:
    """A teacher's logits (N, C) for the train rows and, if asked for, the transfer rows after them.

    Raises:
        UserError: the teacher has not been trained, saw other rows, or there are no transfer rows.
    """
    folder = RunName(task.name, "teacher", arm, seed).folder()
    table = load_logits(folder)
    logits = split_logits(table, "train", task.train.row_ids, folder)
    if not transfer:
        return logits
    if not len(task.transfer):
        key = f"params.yaml: task_settings.{task.name}.max_rows"
        allowed = "set transfer above 0, and train below all rows (or give a transfer_file)"
        raise UserError(key, "leaves no transfer rows for the recipe's transfer: true", allowed)
    return np.concatenate([logits, split_logits(table, "transfer", task.transfer.row_ids, folder)])


def temperature_for_cmi(logits: np.ndarray, labels: np.ndarray, target: float) -> float:
    """The temperature t nearest to 1 at which softmax(logits / t) has a class-space CMI of `target` nats.

    CMI rises and then falls with t, so there may be two such temperatures, or none: then the t that comes nearest is
    returned.

    Args:
        logits: (N, C).
        labels: (N,).
    """
    from scipy.optimize import minimize_scalar  # a quarter second, for matched runs alone

    scores, truth = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)

    def gap(log_t: float) -> float:
        return measure(scores, truth, scores.shape[1], float(np.exp(log_t))).cmi - target

    gaps = np.array([gap(log_t) for log_t in LOG_TEMPERATURES])
    crossings = np.flatnonzero(np.sign(gaps[:-1]) != np.sign(gaps[1:]))
    brackets = [(cell, cell + 1) for cell in crossings]
    if not brackets:
        nearest = int(np.clip(np.abs(gaps).argmin(), 1, len(gaps) - 2))
        brackets = [(nearest - 1, nearest + 1)]
    found = [
        minimize_scalar(
            lambda log_t: gap(log_t) ** 2,
            bounds=(LOG_TEMPERATURES[low], LOG_TEMPERATURES[high]),
            method="bounded",
            options={"xatol": 1e-9},
        ).x
        for low, high in brackets
    ]
    return float(np.exp(min(found, key=abs)))


@dataclass(frozen=True)
class Match:
    """A temperature, and the class-space CMI (nats) that it reached and that it was to reach."""

    temperature: float
    reached: float
    target: float


def matched_in_cmi(logits: np.ndarray, like: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, Match]:
    """Logits brought to the class-space CMI that the logits `like` have on the labelled rows.

    Args:
        logits: (M, C), of which the first N rows are the labelled ones.
        like: (N, C).
        labels: (N,).
    """
    target = _class_cmi(like, labels)
    temperature = temperature_for_cmi(logits[: len(labels)], labels, target)
    matched = (logits / temperature).astype(logits.dtype)
    return matched, Match(temperature, _class_cmi(matched[: len(labels)], labels), target)


def _class_cmi(logits: np.ndarray, labels: np.ndarray) -> float:
    return measure(torch.tensor(logits), torch.tensor(labels), logits.shape[1]).cmi
