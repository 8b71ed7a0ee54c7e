"""A pytest plugin: writes what the fault tests saw to a Markdown table (`pytest -m fault --fault-table=FILE tests`).

Where the file is there, a run of some tests replaces the sections of their kinds and leaves the others.
"""

import re
from pathlib import Path

import pytest

HEAD = """# Faults tried, and what came of them

Written by `make faults` from its test runs, not by hand: {passed} faults survived, {failed} not, {skipped} not tried.
"""
FIRST_LINES = "| fault | what came of it |\n|---|---|\n"


class FaultTable:
    """Gathers the rows that tests put down with `record_property`: kind, fault and outcome."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, list[str]] = {}

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
        kind, fault = found.get("kind", "other"), found.get("fault", report.nodeid.split("::")[-1])
        title = kind.capitalize() if kind.islower() else kind
        self.sections.setdefault(title, []).append(f"| {_cell(fault)} | {_cell(outcome)} |\n")

    def pytest_sessionfinish(self) -> None:
        """Write the table, one section a kind in the order of their first rows."""
        sections = (_sections(self.path) if self.path.exists() else {}) | self.sections
        rows = [row for section in sections.values() for row in section]
        failed, skipped = (sum(f"| **{outcome}**: " in row for row in rows) for outcome in ("failed", "skipped"))
        parts = [HEAD.format(passed=len(rows) - failed - skipped, failed=failed, skipped=skipped)]
        parts += [f"\n## {title}\n\n{FIRST_LINES}{''.join(own)}" for title, own in sections.items()]
        self.path.write_text("".join(parts), encoding="utf-8")


def _sections(table: Path) -> dict[str, list[str]]:
    """The rows of a table that is there, by their sections' titles."""
    _, *parts = re.split(r"^## (.*)\n", table.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rows = [part.split(FIRST_LINES)[1].splitlines(keepends=True) for part in parts[1::2]]
    return {title: [row for row in own if row.strip()] for title, own in zip(parts[::2], rows, strict=True)}


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ")
    return "see the test run"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
