"""A pytest plugin: writes what the fault tests saw to a Markdown table (`pytest -m fault --fault-table=FILE tests`).

A JSON file beside the table keeps the rows by test id. A run of some tests replaces the rows of these tests. It removes
rows whose test is gone from its files, and leaves all other rows.
"""

import json
from pathlib import Path

import pytest

HEAD = """# Faults and their outcomes

Written by `make faults` from its test runs, not by hand: {passed} faults survived, {failed} not, {skipped} not tried.
"""
FIRST_LINES = "| fault | outcome |\n|---|---|\n"
FAULT_TESTS = pytest.StashKey[set[str]]()  # the ids of the fault tests of this session's files
FILES = pytest.StashKey[set[str]]()  # its files of tests, if each was asked for as a whole
Row = dict[str, str] | None  # kind, fault, outcome; None: a test of the tests


def keep_names(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the ids of all fault tests, before pytest deselects some."""
    whole = not any("::" in argument for argument in config.args)
    config.stash[FILES] = {_file(item.nodeid) for item in items} if whole else set()
    config.stash[FAULT_TESTS] = {item.nodeid for item in items if item.get_closest_marker("fault")}


def read_rows(table: Path) -> dict[str, Row]:
    """The rows of a table by the ids of their tests.

    Raises:
        pytest.UsageError: the table exists and the file of its rows does not.
    """
    rows = table.with_suffix(".json")
    if table.exists() and not rows.exists():
        raise pytest.UsageError(f"{rows}: not found; run `make faults` for all of them")
    return json.loads(rows.read_text(encoding="utf-8")) if rows.exists() else {}


def gone(rows: dict[str, Row], config: pytest.Config, root: Path) -> set[str]:
    """The rows whose test no longer exists, in the files of this session or in files that are gone."""
    files, tests = config.stash[FILES], config.stash[FAULT_TESTS]
    return {name for name in rows if name not in tests and (_file(name) in files or not (root / _file(name)).exists())}


class FaultTable:
    """Gathers the rows that tests record with `record_property`: kind, fault and outcome."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row of a test: from its call, or from the phase that ended it earlier."""
        if report.when != "call" and report.passed:
            return
        self.rows[report.nodeid] = _row(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the rows and the table. Each kind has a section, in the order of the first rows."""
        for name in gone(self.rows, session.config, session.config.rootpath):
            del self.rows[name]
        text = json.dumps(self.rows, indent=1, ensure_ascii=False)
        self.path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        self.path.write_text(_markdown([row for row in self.rows.values() if row]), encoding="utf-8")


def _file(name: str) -> str:
    return name.partition("::")[0]


def _row(report: pytest.TestReport) -> Row:
    found = dict(report.user_properties)
    if report.passed and "fault" not in found:
        return None
    outcome = found.get("outcome", "") if report.passed else f"**{report.outcome}**: {_reason(report)}"
    kind, fault = found.get("kind", "other"), found.get("fault", report.nodeid.split("::")[-1])
    return {"kind": str(kind), "fault": str(fault), "outcome": str(outcome)}


def _markdown(rows: list[dict[str, str]]) -> str:
    sections: dict[str, list[str]] = {}
    for row in rows:
        title = row["kind"].capitalize() if row["kind"].islower() else row["kind"]
        sections.setdefault(title, []).append(f"| {_cell(row['fault'])} | {_cell(row['outcome'])} |\n")
    failed, skipped = (sum(row["outcome"].startswith(f"**{end}**: ") for row in rows) for end in ("failed", "skipped"))
    parts = [HEAD.format(passed=len(rows) - failed - skipped, failed=failed, skipped=skipped)]
    parts += [f"\n## {title}\n\n{FIRST_LINES}{''.join(own)}" for title, own in sections.items()]
    return "".join(parts)


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ")
    return "see the test run"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
