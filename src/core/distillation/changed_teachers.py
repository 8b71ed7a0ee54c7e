"""A teacher's logits after one of the changes of `src.params.changed`.

docs/distillation.md, Teachers changed after training.
"""

from dataclasses import dataclass

import numpy as np
import torch

from src.core.distillation.affine_map import fitted_map
from src.core.distillation.teacher_logits import selection_logits, teacher_logits
from src.core.method.cmi import measure
from src.core.metrics import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, best_temperature, nll_rows
from src.core.training.loading import learnt_rows
from src.data.prepared import PreparedTask
from src.params import Calibrated, Changed, Mapped, Matched
from src.system.errors import UserError

ChangedLogits = tuple[np.ndarray, str]  # (N, C), and a line about the map
NO_MAP = {  # problem, and what to do
    "calibrated": (
        f"the best temperature for the selection labels is not between {LOWEST_TEMPERATURE} and {HIGHEST_TEMPERATURE}",
        "give the task more selection rows, or leave this teacher out",
    ),
    "mapped": (
        "the fit of its map finds no minimum, perhaps because an affine map gets every train label right",
        "set another cmi_weight, or train its teacher for fewer epochs",
    ),
}
# Up to 20 and not to `HIGHEST_TEMPERATURE`: another grid would change the last digits of the committed controls.
LOG_TEMPERATURES = np.linspace(np.log(LOWEST_TEMPERATURE), np.log(20), 121)


def changed_logits(
    change: Changed, task: PreparedTask, seed: int, transfer: bool, train_share: float = 1.0
) -> ChangedLogits:
    """The logits (N, C) of a changed teacher for the rows of `teacher_logits`, and a line about the map.

    Args:
        train_share: the student's share of train rows: an affine map sees no label that the student does not see.

    Raises:
        UserError: a teacher arm has not been trained or was trained on other rows, or there is no such map.
    """
    logits = teacher_logits(task, change.teacher, seed, transfer)
    match change:
        case Matched():
            like = teacher_logits(task, change.like, seed, transfer=False)
            return _matched(change, logits, like, task.train.labels)
        case Calibrated():
            selection = selection_logits(task, change.teacher, seed)
            found = _calibrated(change, logits, selection, task.selection.labels)
        case Mapped():
            learnt = learnt_rows(len(task.train), train_share, seed).numpy()
            found = _mapped(change, logits, learnt, task.train.labels[learnt])
    if found is None:
        where = f"params.yaml: distill.{change.key} ({change.name}, task {task.name}, seed {seed})"
        raise UserError(where, *NO_MAP[change.key])
    return found


def _matched(change: Matched, logits: np.ndarray, like: np.ndarray, labels: np.ndarray) -> ChangedLogits:
    """Logits at the temperature that matches CMI.

    A CMI-max teacher that helps only by being softer or sharper helps no more than this one.
    """
    matched, match = matched_in_cmi(logits, like, labels)
    told = f"train CMI {match.reached:.4f} nats ({change.like} has {match.target:.4f})"
    return matched, f"{change.teacher} at temperature {match.temperature:.4f}: {told}"


def _calibrated(
    change: Calibrated, logits: np.ndarray, selection: np.ndarray, labels: np.ndarray
) -> ChangedLogits | None:
    """Logits at the best temperature of the selection rows; None if it is at an end of the search."""
    temperature = best_temperature(np.eye(logits.shape[1])[labels], selection)
    if not 1.01 * LOWEST_TEMPERATURE < temperature < HIGHEST_TEMPERATURE / 1.01:
        return None
    nll = " to ".join(f"{nll_rows(labels, selection / t).mean():.4f}" for t in (1.0, temperature))
    return _scaled(logits, temperature), f"{change.teacher} at temperature {temperature:.4f}: selection NLL {nll} nats"


def _mapped(change: Mapped, logits: np.ndarray, learnt: np.ndarray, labels: np.ndarray) -> ChangedLogits | None:
    """Logits through the map that is fitted on the rows `learnt` with their labels; None if there is no such map."""
    before = logits[learnt]
    affine = fitted_map(before, labels, change.cmi_weight)
    if affine is None:
        return None
    mapped = affine(logits).astype(logits.dtype)
    after = mapped[learnt]
    cmi = " to ".join(f"{_class_cmi(rows, labels):.4f}" for rows in (before, after))
    nll = " to ".join(f"{nll_rows(labels, rows).mean():.4f}" for rows in (before, after))
    other = int((before.argmax(axis=1) != after.argmax(axis=1)).sum())
    told = f"train CMI {cmi} nats, NLL {nll} nats, predictions of {other} of {len(labels)} rows change"
    return mapped, f"{change.teacher} mapped with cmi_weight {change.cmi_weight:g}: {told}"


def temperature_for_cmi(logits: np.ndarray, labels: np.ndarray, target: float) -> float:
    """The temperature t nearest to 1 at which softmax(logits / t) has a class-space CMI of `target` nats.

    CMI rises and then falls with t, so there may be two such temperatures or none. If there is none, return the t whose
    CMI is nearest to `target`.

    Args:
        logits: (N, C).
        labels: (N,).
    """
    from scipy.optimize import minimize_scalar  # takes a quarter second, which only matched runs spend

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
    """A temperature, the class-space CMI that it reached, and the CMI that it should reach (nats)."""

    temperature: float
    reached: float
    target: float


def matched_in_cmi(logits: np.ndarray, like: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, Match]:
    """Logits at the temperature that gives them the class-space CMI of the logits `like` on the labelled rows.

    Args:
        logits: (M, C); the first N rows have labels.
        like: (N, C).
        labels: (N,).
    """
    target = _class_cmi(like, labels)
    temperature = temperature_for_cmi(logits[: len(labels)], labels, target)
    matched = _scaled(logits, temperature)
    return matched, Match(temperature, _class_cmi(matched[: len(labels)], labels), target)


def _class_cmi(logits: np.ndarray, labels: np.ndarray) -> float:
    return measure(torch.tensor(logits), torch.tensor(labels), logits.shape[1]).cmi


def _scaled(logits: np.ndarray, temperature: float) -> np.ndarray:
    return (logits / temperature).astype(logits.dtype)
