"""How far CMI moved between the two sides of a claim: the manipulation check beside each verdict (docs/protocol.md).

A claim about CMI means little if CMI did not move. A claim about students changes the CMI of their teachers. Some
measures have another scale in each model (CMI of h, the length of h) and are compared as ratios. Class-space CMI is
compared as a difference in nats. Each measure is taken on test rows, selection rows and the diagnostic train rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from src.arms import distilled_arm, teachers_of
from src.params import Changed, Claim, Params, Role
from src.study.claims.tables import ComparedTask
from src.study.records.scores import UNIT_MAPS, MeasuredTask
from src.study.statistics.digits import settled
from src.study.statistics.intervals import Estimate, RunValues, mean_over_tasks

CMI, LENGTH, PER_LENGTH, OF_CLASS = "feature_cmi", "feature_norm", "feature_cmi_per_squared_length", "class_cmi"
OF_MAPS = tuple(f"{name}_cmi" for name in UNIT_MAPS)
MEASURES = (CMI, LENGTH, PER_LENGTH, *OF_MAPS, OF_CLASS)
SPLITS = {"test": "", "selection": "selection_", "train": "train_"}  # with the prefix of their columns

RATIO, DIFFERENCE = "ratio", "difference"  # the difference in nats
NUMBERS = ["value", "low", "high"]
COLUMNS = ["claim", "role", "family", "against", "split", "measure", "kind", "task", *NUMBERS, "left_out"]

Line = dict[str, Any]  # some of COLUMNS; ratios as logarithms
Measures = Mapping[str, Mapping[str, RunValues]]  # by split and name; ratios as logarithms, NaN if unknown
Side = list[int]  # the lines of an arm's runs, seeds in order
Taught = tuple[str, Changed | None]  # a student's teacher arm, and its change after training


def measures_of(task: MeasuredTask, history: pd.DataFrame) -> Measures:
    """The measures of each run of a task: on test, and on other rows in the epoch that the run kept.

    Args:
        history: the task's history, with a line per epoch of each run.
    """
    table = in_kept_epochs(task.runs, history)
    found = {split: of_split(table, split, task.test_ratios) for split in SPLITS}
    found["test"][OF_CLASS] = task.metrics[OF_CLASS]  # its error includes the spread over test rows
    return found


def in_kept_epochs(runs: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The runs of a task, each with the history of the epoch that it kept."""
    keys = ["role", "arm", "seed"]
    return runs.merge(history, how="left", left_on=[*keys, "best_epoch"], right_on=[*keys, "epoch"])


def of_split(table: pd.DataFrame, split: str, test_ratios: np.ndarray | None = None) -> dict[str, RunValues]:
    """The measures on the rows of a split, in the order of a table from `in_kept_epochs`.

    Measures to be compared as ratios are logarithms. A measure that a run lacks is NaN. `test_ratios` are as in
    `RunValues`.
    """
    known = table.reindex(columns=[SPLITS[split] + name for name in MEASURES]).to_numpy(dtype=float)
    logs = np.log(np.where(settled(known) > 0, known, np.nan))
    values = dict(zip(MEASURES, logs.T, strict=True))
    values |= {PER_LENGTH: values[CMI] - 2 * values[LENGTH], OF_CLASS: known[:, MEASURES.index(OF_CLASS)]}
    return {name: RunValues(of_runs, test_ratios=test_ratios) for name, of_runs in values.items()}


@dataclass(frozen=True)
class Manipulation:
    """The manipulation checks of a study.

    `compared` and `measures` have a value per task, `taught_by` the teacher of each distilled arm. A student without
    a teacher is compared as if `baseline` had taught it.
    """

    compared: Mapping[str, ComparedTask]
    measures: Mapping[str, Measures]
    taught_by: Mapping[str, Taught]
    baseline: str
    confidence: float

    def lines(self, claim: Claim, tasks: Iterable[str]) -> list[Line]:
        """The lines of the table for a claim over some tasks: how far CMI moved between its two sides.

        For a claim about students, the lines of their teachers come first, unless both sides have the same teachers.
        """
        sides = {task: self._own(task, claim) for task in tasks}
        if not sides:
            return []
        own = self._lines(claim.role, (claim.family, claim.against), sides)
        return own if claim.role == "teacher" else self._of_teachers(sides) + own

    def _of_teachers(self, students: Mapping[str, list[Side]]) -> list[Line]:
        """The lines for the teachers of two sides of students; none if both sides have the same teachers."""
        taught = {task: [self._teacher(task, side) for side in both] for task, both in students.items()}
        if all(first == second for first, second in taught.values()):
            return []
        family, against = ("/".join(dict.fromkeys(both[end][0] for both in taught.values())) for end in (0, 1))
        sides = {task: [self.compared[task].lines["teacher", arm] for arm, _ in both] for task, both in taught.items()}
        changes = {change.how: None for both in taught.values() for _, change in both if change is not None}
        unfit = {OF_CLASS: "; ".join(f"a teacher taught {how}" for how in changes)} if changes else {}
        return self._lines("teacher", (family, against), sides, unfit)

    def _own(self, task: str, claim: Claim) -> list[Side]:
        return [self.compared[task].lines[claim.role, name] for name in (claim.family, claim.against)]

    def _teacher(self, task: str, students: Side) -> Taught:
        arm = self.compared[task].measured.runs["arm"].iloc[students[0]]
        return self.taught_by.get(arm, (self.baseline, None))

    def _lines(
        self, role: Role, names: tuple[str, str], sides: Mapping[str, list[Side]], unfit: Mapping[str, str] = {}
    ) -> list[Line]:
        """The lines of each measure on each split. `unfit` says why a measure is left out."""
        ends = {"role": role, "family": names[0], "against": names[1]}
        return [
            ends | {"split": split, "measure": name, "kind": DIFFERENCE if name == OF_CLASS else RATIO} | line
            for split in SPLITS
            for name in MEASURES
            for line in ([{"left_out": unfit[name]}] if name in unfit else self._of_measure(split, name, sides))
        ]

    def _of_measure(self, split: str, name: str, sides: Mapping[str, list[Side]]) -> Iterator[Line]:
        """A measure over the tasks where both sides have it, then on each task. A map of neither side is skipped."""
        values = {task: self.measures[task][split][name] for task in sides}
        known = {task: _known_ends(values[task], both) for task, both in sides.items()}
        if name in OF_MAPS and not any(map(any, known.values())):
            return
        missing = {task: _why(name, ends) for task, ends in known.items() if not all(ends)}
        found = {task: values[task].estimate(*both) for task, both in sides.items() if task not in missing}
        if not found:
            yield {"left_out": "; ".join(dict.fromkeys(missing.values()))}
            return
        yield self._over_tasks([*found.values()])
        for task in sides:
            yield {"task": task} | ({"left_out": missing[task]} if task in missing else {"value": found[task].mean})

    def _over_tasks(self, tasks: list[Estimate]) -> Line:
        over = mean_over_tasks(tasks)
        low, high = over.interval(self.confidence)
        return {"value": over.mean, "low": low, "high": high}


def _known_ends(values: RunValues, both: list[Side]) -> list[bool]:
    return [bool(np.isfinite(values.of_runs[side]).all()) for side in both]


def _why(name: str, known_ends: list[bool]) -> str:
    """Why a measure has no value on a task."""
    return "one side has another map" if name in OF_MAPS and any(known_ends) else "not known"


def moved_table(checks: Manipulation, claims: Mapping[str, Claim], found: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """How far CMI moved between the two sides of each claim, over its own tasks: tables/moved.csv (docs/results.md).

    A line without a task is over tasks. `left_out` says why a line has no value. Contrasts have no lines, because each
    of their pairs moves CMI by its own ratio. A claim about each pair shows these ratios.

    Args:
        found: the study's claims and contrasts, as in claims.json.
    """
    own = {claim["name"]: [row["task"] for row in claim["tasks"]] for claim in found if "contrast" not in claim}
    lines = [{"claim": name} | line for name, tasks in own.items() for line in checks.lines(claims[name], tasks)]
    table = pd.DataFrame(lines, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, float))
    table.loc[table["kind"] == RATIO, NUMBERS] = np.exp(table[NUMBERS])  # estimated as logarithms
    return table


def manipulation(
    params: Params, compared: Mapping[str, ComparedTask], measures: Mapping[str, Measures]
) -> Manipulation:
    """The manipulation checks of a study."""
    taught: dict[str, Taught] = {}
    for recipe in params.distill.recipes:
        for name, change in teachers_of(params).items():
            taught[distilled_arm(recipe, name)] = (name if change is None else change.teacher, change)
    return Manipulation(compared, measures, taught, params.evaluate.baseline, params.evaluate.confidence)
