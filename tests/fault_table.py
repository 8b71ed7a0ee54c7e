"""A pytest plugin: writes what the fault tests saw to a Markdown table (`pytest -m fault --fault-table=FILE tests`)."""

from pathlib import Path

import pytest

HEAD = """# Faults tried, and what came of them

Written by `make faults` from its test run, not by hand: {passed} faults survived, {failed} not, {skipped} not tried.
"""


class FaultTable:
    """Gathers the rows that tests put down with `record_property`: kind, fault and outcome."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[str, str, str]] = []
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one phase of one test in: its call, or whatever ended it before."""
        if report.when != "call" and report.passed:
            return
        found = dict(report.user_properties)
        if report.passed and "fault" not in found:
            return  # a test of the tests
        outcome = found.get("outcome", "")
        if not report.passed:
            outcome = f"**{report.outcome}**: {_reason(report)}"
        self.counts[report.outcome] += 1
        self.rows.append((found.get("kind", "other"), found.get("fault", report.nodeid.split("::")[-1]), outcome))

    def pytest_sessionfinish(self) -> None:
        """Write the table, one section a kind in the order of their first rows."""
        parts = [HEAD.format(**self.counts)]
        for kind in dict.fromkeys(kind for kind, *_ in self.rows):
            parts.append(
                f"\n## {kind.capitalize() if kind.islower() else kind}\n\n| fault | what came of it |\n|---|---|\n"
            )
            parts += [f"| {_cell(fault)} | {_cell(outcome)} |\n" for own, fault, outcome in self.rows if own == kind]
        self.path.write_text("".join(parts), encoding="utf-8")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ")
    return "see the test run"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
