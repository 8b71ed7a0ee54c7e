"""What `make test-fast` leaves out: tests that start processes, found by what they name or refused while they run."""

import multiprocessing
import subprocess
import sys

import pytest

from tests.pipeline import test_pipeline
from tests.support.processes_of_tests import MARKER, no_processes, starts_processes
from tests.support.repository import clone
from tests.unit import test_cmi, test_params


def in_a_clone(folder) -> None:
    clone(folder)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (subprocess.run, False),  # none of the tests' own
        (in_a_clone, True),
        (test_pipeline.failing, True),
        (test_params.params_content, False),
    ],
)
def test_what_names_a_starter_of_processes_is_found(function, expected):
    assert starts_processes(function) == expected


def test_a_file_of_the_core_is_among_the_fast_ones():
    tests = [value for name, value in vars(test_cmi).items() if name.startswith("test_")]
    assert len(tests) > 10
    assert not starts_processes(*tests)


def test_a_test_without_the_marker_may_call_git_alone():
    with no_processes("this test"):
        assert subprocess.run(["git", "--version"], capture_output=True, check=True).stdout
        for start in (lambda: subprocess.run([sys.executable, "-c", ""]), multiprocessing.Process().start):
            with pytest.raises(pytest.fail.Exception, match=f"this test starts a process .*@pytest.mark.{MARKER}"):
                start()


def test_the_marker_is_here_by_itself(request):
    """On a test that names `subprocess`, as this one does."""
    assert request.node.get_closest_marker(MARKER), subprocess
