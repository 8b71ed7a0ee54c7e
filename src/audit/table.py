"""The table of all audits in git, for docs/take-away.md: `python -m src.audit.table` prints it."""

from pathlib import Path
from typing import Any

from src.study import METRICS_FOLDER
from src.system.errors import stage
from src.system.files import read_json
from src.system.printing import markdown_head, markdown_row

AUDITS = "audits"
HEADINGS = (
    *("study", "unit", "runs", "minutes", "differs in", "equal bytes"),
    *("largest difference of a logit", "predictions that differ", "largest difference in spreads", "outcome"),
)


def audit_file(study: str, unit: str) -> Path:
    """The file in git for the outcome of an audit."""
    return METRICS_FOLDER / study / AUDITS / f"{unit}.json"


def table(folder: Path = METRICS_FOLDER) -> list[str]:
    """The lines of the Markdown table; none without an audit."""
    rows = [markdown_row(_cells(read_json(path))) for path in sorted(folder.glob(f"*/{AUDITS}/*.json"))]
    return [*markdown_head(HEADINGS).splitlines(), *rows] if rows else []


def _cells(audit: dict[str, Any]) -> list[str]:
    runs, arms = audit["runs"], f" {', '.join(audit['arms'])}" if audit["arms"] else ""
    changed = sum(run["changed_labels"] for run in runs) / len(runs)
    ratios = audit["in_spreads"].values()
    return [
        *(f"`{audit['study']}`", f"{audit['task']} {audit['seed']}{arms}", str(len(runs)), f"{audit['minutes']:.0f}"),
        *(", ".join(audit["differs_in"]) or "nothing", "yes" if audit["equal_bytes"] else "no"),
        *(f"{max(run['largest_logit'] for run in runs):.2g}", f"{100 * changed:.1f} %"),
        f"{max(ratios):.2g}" if ratios else "one seed: no spread",
        "surprising" if audit["surprises"] else "as expected",
    ]


@stage
def main() -> None:
    """Print the table."""
    print(*table(), sep="\n")


if __name__ == "__main__":
    main()
