"""The x values of a curve's arms on each task, and the pairs of arms that the curve compares."""

from collections.abc import Iterator, Mapping
from itertools import product

from src.arms import settings_of
from src.params import Curve, Params
from src.system.errors import UserError

TrialsByName = Mapping[str, list[str]]  # the trials of each arm and family of a role


def x_of(params: Params, curve: Curve, task: str, arm: str) -> float:
    """The value of the curve's setting for an arm on a task. A family has no such value; its trials have."""
    settings = settings_of(params, task, curve.role, arm)
    section = settings.objective if hasattr(settings.objective, curve.over) else settings.training
    return float(getattr(section, curve.over))


def pairs_of_lines(curve: Curve) -> Iterator[tuple[str, str, str]]:
    """Every (line, arm, arm of the line `against`) that the curve could compare, whatever their x values."""
    if curve.against is not None:
        others = [(line, name) for line, names in curve.lines.items() if line != curve.against for name in names]
        for (line, first), second in product(others, curve.lines[curve.against]):
            if first != second:
                yield line, first, second


def curve_pairs(where: str, params: Params, curve: Curve, trials: TrialsByName) -> list[tuple[str, str]]:
    """The pairs of arms or families that a curve compares: those that can have the same x on some task.

    Args:
        where: the key of the curve, for messages.
        trials: the trials of every arm and family of the curve's role.

    Raises:
        UserError: two arms of a line can have the same x, no arm can have the x of an arm of `against`, or an arm lacks
            the curve's setting.
    """
    names = dict.fromkeys(name for line in curve.lines.values() for name in line)
    untaught = [arm for name in names for arm in trials[name] if arm in params.student.arms]
    if curve.over == "temperature" and untaught:
        raise UserError(f"{where}.over", f"{untaught[0]} has no teacher and no temperature", "name distilled students")
    places = {
        task: {name: {x_of(params, curve, task, arm) for arm in trials[name]} for name in names}
        for task in params.tasks
    }
    _check_lines(where, curve, places)
    found = [
        (first, second)
        for _, first, second in pairs_of_lines(curve)
        if any(at[first] & at[second] for at in places.values())
    ]
    if curve.against is not None and not found:
        problem = f"no arm has the {curve.over} of an arm of '{curve.against}'"
        raise UserError(f"{where}.against", problem, "name a line that shares values with another, or set null")
    return found


def _check_lines(where: str, curve: Curve, places: Mapping[str, Mapping[str, set[float]]]) -> None:
    """Refuse a line with two points at one x. A family can have the x of any of its trials."""
    for (task, at), (line, names) in product(places.items(), curve.lines.items()):
        possible = [x for name in names for x in at[name]]
        if twice := [x for x in possible if possible.count(x) > 1]:
            problem = f"more than one arm has {curve.over} {twice[0]:g} on {task}"
            raise UserError(f"{where}.lines.{line}", problem, "name one arm for each value")
