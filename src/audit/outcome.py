"""The outcome of an audit as one value, from the records and the redone runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.audit.choosing import AuditedUnit
from src.audit.differences import RunDifference, in_spreads, run_differences, surprises, with_redone
from src.audit.sameness import (
    FirstDifference,
    Origin,
    columns_of_one_side,
    differing,
    first_differences,
    origin_of,
)
from src.audit.verdicts import both_verdicts
from src.params import Params
from src.study.records.scores import MeasuredTask, measured_task
from src.study.records.task_records import TaskRecords, of_seed, records_folder


@dataclass(frozen=True)
class Audit:
    """A unit, the origins of its redone runs and of their records, and the differences between the two.

    `differs_in` has values in the records and here. `places` are the first values that differ in any digit. `ratios`
    are differences of metrics over their spread, see `in_spreads`.
    """

    unit: AuditedUnit
    recorded: Origin
    here: Origin
    differs_in: dict[str, tuple[str, str]]
    places: list[FirstDifference]
    columns: list[str]
    runs: list[RunDifference]
    measured: MeasuredTask
    ratios: dict[str, float]
    claims: list[dict[str, Any]]
    seconds: float

    @property
    def surprises(self) -> list[str]:
        """A sentence for each surprise; empty if all is as expected."""
        unequal = [] if self.differs_in else [str(place) for place in self.places]
        return unequal + surprises(self.ratios)


def audit_of(
    unit: AuditedUnit, params: Params, recorded: TaskRecords, redone: TaskRecords, folder: Path, seconds: float
) -> Audit:
    """Compare redone runs with their records.

    Args:
        folder: the copy that has the redone runs.
        seconds: how long redoing took.
    """
    names, kept = unit.runs, records_folder(unit.study, unit.task)
    made = folder / kept
    replaced = with_redone(recorded, redone)
    before, after = (measured_task(records, params.evaluate.ece_bins) for records in (recorded, replaced))
    differences = run_differences(names, recorded, redone, before, after)
    origins = origin_of(kept), origin_of(made)
    return Audit(
        unit=unit,
        recorded=origins[0],
        here=origins[1],
        differs_in=differing(*origins),
        places=first_differences(kept, made, names),
        columns=columns_of_one_side(kept, made),
        runs=differences,
        measured=before,
        ratios=in_spreads(differences, before, after, len(of_seed(recorded.labels["test"], unit.seed))),
        claims=both_verdicts(params, (recorded, before), (replaced, after)),
        seconds=seconds,
    )
