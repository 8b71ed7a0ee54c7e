"""Where the arms of a curve stand on its x axis, task by task, and which of them are compared."""

from collections.abc import Iterator, Mapping
from itertools import product

from src.params import Curve, Params, Role, RunSettings
from src.system.errors import UserError

TrialsByName = Mapping[str, list[str]]  # of each arm and family of a role


def settings_of(params: Params, task: str, role: Role, arm: str) -> RunSettings:
    """The settings of an arm's runs on a task; those of a distilled student are its recipe's."""
    if role == "teacher":
        return params.teacher(task, arm)
    if arm in params.student.arms:
        return params.plain_student(task, arm)
    return params.distilled_student(task, arm.partition("-")[0])  # no recipe has a dash in its name


def x_of(params: Params, curve: Curve, task: str, arm: str) -> float:
    """The value of the curve's setting that an arm, which is no family, has on a task."""
    settings = settings_of(params, task, curve.role, arm)
    section = settings.objective if hasattr(settings.objective, curve.over) else settings.training
    return float(getattr(section, curve.over))


def pairs_of_lines(curve: Curve) -> Iterator[tuple[str, str, str]]:
    """Line, arm, arm of `against`: whatever could be compared, wherever the two stand."""
    if curve.against is not None:
        others = [(line, name) for line, names in curve.lines.items() if line != curve.against for name in names]
        for (line, first), second in product(others, curve.lines[curve.against]):
            if first != second:
                yield line, first, second


def curve_pairs(where: str, params: Params, curve: Curve, trials: TrialsByName) -> list[tuple[str, str]]:
    """The comparisons that a curve shows: of arms that have, or families that may have, the same x on a task.

    Args:
        where: the key of the curve, for messages.
        trials: of every arm and family of the curve's role.

    Raises:
        UserError: two arms of a line may stand at the same x, none may stand where one of `against` does, or an arm
            has no such setting.
    """
    names = dict.fromkeys(name for line in curve.lines.values() for name in line)
    untaught = [arm for name in names for arm in trials[name] if arm in params.student.arms]
    if curve.over == "temperature" and untaught:
        raise UserError(f"{where}.over", f"{untaught[0]} has no teacher, and so no temperature", "distilled students")
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
        problem = f"no arm has the {curve.over} of one of '{curve.against}'"
        raise UserError(f"{where}.against", problem, "a line that shares values with another, or null")
    return found


def _check_lines(where: str, curve: Curve, places: Mapping[str, Mapping[str, set[float]]]) -> None:
    """A line has one point at each x. A family may come to stand wherever one of its trials does."""
    for (task, at), (line, names) in product(places.items(), curve.lines.items()):
        possible = [x for name in names for x in at[name]]
        if twice := [x for x in possible if possible.count(x) > 1]:
            problem = f"more than one arm has {curve.over} {twice[0]:g} on {task}"
            raise UserError(f"{where}.lines.{line}", problem, "one arm for each value")
