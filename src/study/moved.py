"""How far CMI moved between the two sides of a claim: the manipulation check beside each verdict (docs/protocol.md).

A claim about CMI means little if CMI did not move. A claim of students manipulates their teachers. Measures whose scale
differs between models (CMI of h, the length of h) are compared as ratios, class-space CMI as a difference in nats. Each
measure is taken on test rows, on selection rows and on the diagnostic train rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from src.arms import distilled_arm, teachers_of
from src.params import Changed, Claim, Params, Role
from src.study.digits import settled
from src.study.intervals import RunValues, mean_over_tasks
from src.study.measuring import UNIT_MAPS, MeasuredTask
from src.study.summary import ComparedTask

CMI, LENGTH, PER_LENGTH, OF_CLASS = "feature_cmi", "feature_norm", "feature_cmi_per_squared_length", "class_cmi"
OF_MAPS = tuple(f"{name}_cmi" for name in UNIT_MAPS)
MEASURES = (CMI, LENGTH, PER_LENGTH, *OF_MAPS, OF_CLASS)
SPLITS = {"test": "", "selection": "selection_", "train": "train_"}  # and how their columns begin

Measures = Mapping[str, Mapping[str, RunValues]]  # by split and name; of ratios the logarithms, NaN where unknown
Side = list[int]  # the lines of an arm's runs, seeds in order
Taught = tuple[str, Changed | None]  # by a teacher arm, and how that was changed after its training


def measures_of(task: MeasuredTask, history: pd.DataFrame) -> Measures:
    """What is known of CMI in each run of a task, in nats: on test, and on other rows in the epoch that was kept.

    Args:
        history: the task's, with a line an epoch of each run.
    """
    keys = ["role", "arm", "seed"]
    table = task.runs.merge(history, how="left", left_on=[*keys, "best_epoch"], right_on=[*keys, "epoch"])
    found = {split: _of_split(table, prefix) for split, prefix in SPLITS.items()}
    found["test"][OF_CLASS] = task.metrics[OF_CLASS]  # whose error knows of test rows too
    return found


def _of_split(table: pd.DataFrame, prefix: str) -> dict[str, RunValues]:
    """Of a measure that no run has, NaN."""
    known = table.reindex(columns=[prefix + name for name in MEASURES]).to_numpy(dtype=float)
    logs = np.log(np.where(settled(known) > 0, known, np.nan))
    values = dict(zip(MEASURES, logs.T, strict=True))
    values |= {PER_LENGTH: values[CMI] - 2 * values[LENGTH], OF_CLASS: known[:, MEASURES.index(OF_CLASS)]}
    return {name: RunValues(of_runs) for name, of_runs in values.items()}


@dataclass(frozen=True)
class Manipulation:
    """What the manipulation checks of a study need.

    `compared` and `measures` are by task. `taught_by` has for each student arm its teacher. A student without a teacher
    is compared as if `baseline` had taught it.
    """

    compared: Mapping[str, ComparedTask]
    measures: Mapping[str, Measures]
    taught_by: Mapping[str, Taught]
    baseline: str
    confidence: float

    def moved(self, claim: Claim, tasks: Iterable[str]) -> list[dict[str, Any]]:
        """How far CMI moved between the two sides of a claim over some tasks, as plain values.

        A claim of teachers has one entry. A claim of students has first one of their teachers, unless both sides have
        the same, and then one of the students. `left_out` names what could not be compared, and why.
        """
        sides = {task: self._own(task, claim) for task in tasks}
        own = [self._moved(claim.role, (claim.family, claim.against), sides, MEASURES)] if sides else []
        return own if claim.role == "teacher" else self._of_teachers(sides) + own

    def _of_teachers(self, students: Mapping[str, list[Side]]) -> list[dict[str, Any]]:
        """Between the teachers of two sides of students; nothing where these are the same."""
        taught = {task: [self._teacher(task, side) for side in both] for task, both in students.items()}
        if all(first == second for first, second in taught.values()):
            return []
        family, against = ("/".join(dict.fromkeys(both[end][0] for both in taught.values())) for end in (0, 1))
        lines = {task: [self.compared[task].lines["teacher", arm] for arm, _ in both] for task, both in taught.items()}
        changes = {change.how: None for both in taught.values() for _, change in both if change is not None}
        if not changes:
            return [self._moved("teacher", (family, against), lines, MEASURES)]
        wanted = [name for name in MEASURES if name != OF_CLASS]
        found = self._moved("teacher", (family, against), lines, wanted)
        told = [f"{OF_CLASS}: a teacher taught {how}" for how in changes]
        return [found | {"left_out": [*found.get("left_out", []), *told]}]

    def _own(self, task: str, claim: Claim) -> list[Side]:
        return [self.compared[task].lines[claim.role, name] for name in (claim.family, claim.against)]

    def _teacher(self, task: str, students: Side) -> Taught:
        arm = self.compared[task].measured.runs["arm"].iloc[students[0]]
        return self.taught_by.get(arm, (self.baseline, None))

    def _moved(
        self, role: Role, names: tuple[str, str], sides: Mapping[str, list[Side]], wanted: Iterable[str]
    ) -> dict[str, Any]:
        """Each measure of each split over the tasks where both sides have it."""
        found: dict[str, Any] = {"role": role, "family": names[0], "against": names[1]}
        left_out: list[str] = []
        for split in SPLITS:
            found[split] = {}
            for name in wanted:
                values = {task: self.measures[task][split][name] for task in sides}
                known = {task: _known_ends(values[task], both) for task, both in sides.items()}
                if complete := [task for task, ends in known.items() if all(ends)]:
                    found[split][name] = self._over(name, {task: (values[task], sides[task]) for task in complete})
                if missing := [task for task, ends in known.items() if not all(ends)]:
                    left_out += _why(f"{name} on {split} rows", missing, name, any(map(any, known.values())), complete)
        return found | ({"left_out": left_out} if left_out else {})

    def _over(self, name: str, tasks: Mapping[str, tuple[RunValues, list[Side]]]) -> dict[str, Any]:
        """A measure over tasks, and on each of them."""
        estimates = {task: values.estimate(*both) for task, (values, both) in tasks.items()}
        over = mean_over_tasks([*estimates.values()])
        back, kind = (float, "difference") if name == OF_CLASS else (lambda log: float(np.exp(log)), "ratio")
        low, high = over.interval(self.confidence)
        interval = {} if low is None or high is None else {"low": back(low), "high": back(high)}
        return {kind: back(over.mean)} | interval | {"tasks": {task: back(one.mean) for task, one in estimates.items()}}


def _known_ends(values: RunValues, both: list[Side]) -> list[bool]:
    return [bool(np.isfinite(values.of_runs[side]).all()) for side in both]


def _why(what: str, missing: list[str], name: str, any_end: bool, complete: list[str]) -> list[str]:
    """Why a measure has no value on some tasks; nothing of maps that neither side has."""
    if name in OF_MAPS:
        return [f"{what}: one side has another map"] if any_end else []
    return [f"{what}: not known" + (f" on {', '.join(missing)}" if complete else "")]


def with_moved(found: list[dict[str, Any]], checks: Manipulation, claims: Mapping[str, Claim]) -> list[dict[str, Any]]:
    """A study's claims, as `judged` gives them, each with `moved` over its own tasks."""
    return [
        claim | {"moved": checks.moved(claims[claim["name"]], [row["task"] for row in claim["tasks"]])}
        for claim in found
    ]


def manipulation(
    params: Params, compared: Mapping[str, ComparedTask], measures: Mapping[str, Measures]
) -> Manipulation:
    """The manipulation checks of a study."""
    taught: dict[str, Taught] = {}
    for recipe in params.distill.recipes:
        for name, change in teachers_of(params).items():
            taught[distilled_arm(recipe, name)] = (name if change is None else change.teacher, change)
    return Manipulation(compared, measures, taught, params.evaluate.baseline, params.evaluate.confidence)


def moved_in_words(moved: dict[str, Any]) -> str:
    """How far CMI moved, on test and on train; on selection where no features of test rows were kept."""
    splits = [split for split in SPLITS if moved[split] and (split != "selection" or CMI not in moved["test"])]
    told = [f"{', '.join(_measures_in_words(moved[split]))} on {split}" for split in splits]
    return f"CMI of {moved['role']} {moved['family']} against {moved['against']}: {'; '.join(told)}."


def _measures_in_words(measures: dict[str, Any]) -> list[str]:
    words = {CMI: "of h", PER_LENGTH: "per squared length"} | {name: name for name in OF_MAPS}
    told = [f"{word} {measures[name]['ratio']:.2f} x{_interval(measures[name], '.2f')}" for name, word in words.items()
            if name in measures]  # fmt: skip
    if OF_CLASS in measures:
        own = measures[OF_CLASS]
        told.append(f"class {own['difference']:+.3f} nats{_interval(own, '+.3f')}")
    return told


def _interval(measure: dict[str, Any], form: str) -> str:
    return f" ({measure['low']:{form}} to {measure['high']:{form}})" if "low" in measure else ""
