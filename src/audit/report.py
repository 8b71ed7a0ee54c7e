"""An audit as lines for a terminal, and as plain values for a file."""

from typing import Any

import pandas as pd

from src.audit.differences import JUDGED, spread_over_seeds
from src.audit.outcome import Audit
from src.audit.sameness import python_versions
from src.system.printing import counted


def content(audit: Audit) -> dict[str, Any]:
    """All of an audit as plain values."""
    unit = audit.unit
    return {
        **{"study": unit.study, "task": unit.task, "seed": unit.seed, "arms": list(unit.arms)},
        **{"command": unit.command, "minutes": round(audit.seconds / 60, 1)},
        "code": {"recorded": audit.recorded.code, "here": audit.here.code},
        "environment": {"recorded": audit.recorded.environments, "here": audit.here.environments},
        "differs_in": {key: list(values) for key, values in audit.differs_in.items()},
        "equal_bytes": not audit.places,
        "first_differences": [str(place) for place in audit.places],
        "columns": audit.columns,
        "runs": [
            difference.content() | {"spreads": _spreads(audit, number)} for number, difference in enumerate(audit.runs)
        ],
        "in_spreads": audit.ratios,
        "claims": audit.claims,
        "surprises": audit.surprises,
    }


def lines(audit: Audit) -> list[str]:
    """The lines that an audit prints: differences of code and environment, tables, claims, and last the verdict."""
    kept, ours = python_versions(audit.recorded, audit.here)
    told = [f"python is {kept} in the records and {ours} here; this explains no difference"] if kept != ours else []
    told += [f"{key}: {theirs} in the records, {here} here" for key, (theirs, here) in audit.differs_in.items()]
    told += [f"not compared: {column}" for column in audit.columns]
    if audit.places:
        told += ["", *_run_table(audit), "", "differences of metrics (in brackets the standard deviation over seeds):"]
        told += [*_metric_tables(audit), ""]
    told += [_claim_line(claim) for claim in audit.claims]
    return [*told, verdict(audit)]


def verdict(audit: Audit) -> str:
    """One line: equal, as expected, or surprising and why."""
    name = f"{audit.unit.study} {audit.unit.name}: {counted(len(audit.runs), 'run')}"
    if audit.surprises:
        more = f" (and {len(audit.surprises) - 1} more)" if len(audit.surprises) > 1 else ""
        return f"{name}: surprising: {audit.surprises[0]}{more}"
    reason = f", though these differ: {', '.join(audit.differs_in)}" if audit.differs_in else ", as expected"
    if not audit.places:
        return f"{name}: equal bytes{reason}"
    if not audit.ratios:
        return f"{name}: not equal; the records have one seed, so there is no spread to compare with"
    return f"{name}: as expected: metrics differ by at most {max(audit.ratios.values()):.2f} spreads over seeds"


def _run_table(audit: Audit) -> list[str]:
    rows = [
        {
            "run": f"{one.run.role} {one.run.arm}",
            "largest logit": f"{one.largest_logit:.2g}",
            "rms logit": f"{one.rms_logit:.2g}",
            "predictions": f"{100 * one.changed_labels:.1f} %",
            "best epoch": str(one.epochs[1]) if one.epochs[0] == one.epochs[1] else "{} -> {}".format(*one.epochs),
        }
        for one in audit.runs
    ]
    return _shown(pd.DataFrame(rows))


def _metric_tables(audit: Audit) -> list[str]:
    """A line for each metric and a column for each run. Metrics that decide the verdict come first, with a star."""
    judged = [name for name in dict.fromkeys((audit.measured.primary, *JUDGED)) if name in audit.measured.metrics]
    names = [*judged, *(name for name in audit.measured.metrics if name not in judged)]
    found = {"metric": [f"{name} *" if name in judged else name for name in names]}
    for number, one in enumerate(audit.runs):
        spreads = _spreads(audit, number)
        cells = [_cell(one.metrics.get(name), spreads.get(name)) for name in names]
        found[f"{one.run.role} {one.run.arm}"] = cells
    return _shown(pd.DataFrame(found))


def _cell(difference: float | None, spread: float | None) -> str:
    if difference is None:
        return ""
    return f"{difference:+.1e}" + (f" ({spread:.1e})" if spread is not None else "")


def _spreads(audit: Audit, number: int) -> dict[str, float]:
    one = audit.runs[number]
    found = {name: spread_over_seeds(audit.measured, name, one.run.role, one.run.arm) for name in one.metrics}
    return {name: spread for name, spread in found.items() if spread is not None}


def _claim_line(claim: dict[str, Any]) -> str:
    theirs, ours = claim["recorded"], claim["redone"]
    told = f"claim {claim['claim']}: {ours['verdict']}"
    if ours["verdict"] != theirs["verdict"]:
        told += f", but {theirs['verdict']} in the records"
    if "difference" in theirs and "difference" in ours:
        told += f" ({theirs['difference']:+.4f} in the records, {ours['difference']:+.4f} with the redone runs)"
    return told


def _shown(table: pd.DataFrame) -> list[str]:
    return table.to_string(index=False).splitlines()
