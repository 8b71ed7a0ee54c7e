"""The table of faults: its rows are those of the tests, and a run of some of them leaves the others."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import REPOSITORY
from tests.support.fault_table import FAULT_TESTS, FILES, FaultTable, gone, read_rows

TABLE = REPOSITORY / "docs/faults.md"


def test_the_table_has_the_rows_of_the_fault_tests(request):
    """Of the files of tests that this session has collected: all of them in `make test`."""
    rows, config = read_rows(TABLE), request.config
    if not config.stash[FILES]:
        pytest.skip("single tests were asked for")
    assert gone(rows, config, REPOSITORY) == set()
    assert config.stash[FAULT_TESTS] - set(rows) == set(), "not in docs/faults.md: make faults FAULTS=their file"


def write(table: Path, tests: dict[str, str], files: set[str]) -> None:
    """Run a session whose test files have these fault tests, each with its outcome; "" means no row."""
    plugin, stash = FaultTable(table), pytest.Stash()
    stash[FAULT_TESTS], stash[FILES] = set(tests), files
    for name, outcome in tests.items():
        found = [("kind", "disk"), ("fault", name.split("::")[1]), ("outcome", outcome)] if outcome else []
        report = pytest.TestReport(name, (name, 0, name), {}, "passed", None, "call", user_properties=found)
        plugin.pytest_runtest_logreport(report)
    config = SimpleNamespace(stash=stash, rootpath=table.parent)
    plugin.pytest_sessionfinish(SimpleNamespace(config=config))


def test_a_run_of_some_tests_replaces_their_rows_and_leaves_the_others(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).touch()
    table = tmp_path / "faults.md"
    first = {"a.py::one": "1", "b.py::two": "2", "a.py::three": "3", "b.py::four": "", "c.py::five": "5"}
    write(table, first, {"a.py", "b.py", "c.py"})
    write(table, {"a.py::one": "new"}, {"a.py"})  # three is no more, nor is the file of five
    rows = [line for line in table.read_text().splitlines() if line.startswith("| ")]
    assert rows == ["| fault | outcome |", "| one | new |", "| two | 2 |"]
    assert "2 faults survived, 0 not, 0 not tried" in table.read_text()
    assert list(json.loads(table.with_suffix(".json").read_text())) == ["a.py::one", "b.py::two", "b.py::four"]

    write(table, {"b.py::four": "4"}, set())  # by its own name: of its file's other tests nothing is known
    assert "3 faults survived" in table.read_text()


def test_a_table_without_its_rows_is_not_written_over(tmp_path):
    (tmp_path / "faults.md").write_text("as it was")
    with pytest.raises(pytest.UsageError, match=r"faults\.json: not found; run `make faults`"):
        FaultTable(tmp_path / "faults.md")
