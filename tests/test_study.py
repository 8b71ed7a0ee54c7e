"""From finished runs to tables and figures, through the stages: many classes, arms and seeds, and names of any kind."""

import subprocess
import sys
from collections.abc import Callable

import pytest

import stages.collect
from tests.conftest import REPOSITORY
from tests.synthetic_study import make_study


@pytest.fixture
def call(tmp_path, monkeypatch) -> Callable:
    """Call a stage in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def stage(module, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        module.main()

    return stage


EVALUATE_AND_TELL_THE_PEAK = """
import resource
import stages.evaluate
stages.evaluate.main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_many_classes_are_evaluated_in_little_memory(call, monkeypatch):
    """The classes and test rows of clinc150, and the runs of the default study: below 1 GiB."""
    labels = [f"label {number}" for number in range(150)]
    make_study(labels, ["ce", "cmi_min", "cmi_max"], rows={"selection": 200, "test": 5500})
    call(stages.collect, "--task", "tiny")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    command = [sys.executable, "-c", EVALUATE_AND_TELL_THE_PEAK]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) * 1024 < 2**30
