"""What a stage prints goes wherever it can, and breaks none of its work: real processes, on real streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.faults.hostile.cases import PREPARE, write_params
from tests.support.repository import digests

KIND = "output"
UNSET = ("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "LC_ALL", "LANG")
LABELS = ["消极", "积极"]


def prepare(streams: str = "", **variables: str) -> subprocess.CompletedProcess:
    """Prepare the task, with streams as the shell's words say."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = ["sh", "-c", f'exec "$0" -m stages.prepare "$@" {streams}', sys.executable, *PREPARE]
    environment |= {"PYTHONPATH": str(REPOSITORY)} | variables
    return subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.fixture
def task(workplace) -> Path:
    """The current folder, with a task whose labels are Chinese."""
    write_params(("task_settings.tiny.labels", LABELS))
    return workplace


TERMINALS = {
    "a latin-1 terminal": {"PYTHONIOENCODING": "latin-1"},
    "a terminal of plain ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("terminal", TERMINALS)
def test_labels_that_a_terminal_cannot_show(task, record_fault, terminal):
    outcome = prepare(**TERMINALS[terminal])
    assert outcome.returncode == 0, outcome.stderr
    line = outcome.stdout.decode("ascii").splitlines()[2]
    assert line == r"tiny test: 60 rows, labels {'\u6d88\u6781': 28, '\u79ef\u6781': 32}"
    assert LABELS[0] in Path("data/tiny/splits/task.json").read_text(encoding="utf-8").encode().decode("unicode_escape")
    record_fault(KIND, f"labels in Chinese on {terminal}", f"`` {line} ``")


def test_streams_that_are_closed(task, record_fault):
    """The next file that is opened would get their numbers, and what is written to them."""
    assert prepare().returncode == 0
    before = digests(task, "data")
    for closed in (">&-", "<&- >&- 2>&-"):
        assert prepare(closed).returncode == 0
        assert digests(task, "data") == before
    record_fault(KIND, "stdout closed by `>&-`, or all streams", "the stage ends well, with the same bytes")


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_output_to_a_full_disk(task, record_fault, buffered):
    outcome = prepare("> /dev/full", PYTHONUNBUFFERED=buffered)
    assert outcome.returncode == 1
    line = "error: stdout: No space left on device; free some room, or send the output elsewhere, and run again"
    assert outcome.stderr.decode() == f"{line}\n"
    record_fault(KIND, f"stdout on a full disk{', unbuffered' if buffered else ''}", f"`` {line} ``")
