"""A test that `make test-fast` runs fails if it starts a process."""

import multiprocessing
import subprocess
import sys

import pytest

from tests.support.processes_of_tests import MARKER, no_processes


@pytest.mark.process
def test_a_test_without_the_marker_may_call_git_alone():
    with no_processes("this test"):
        assert subprocess.run(["git", "--version"], capture_output=True, check=True).stdout
        for start in (lambda: subprocess.run([sys.executable, "-c", ""]), multiprocessing.Process().start):
            with pytest.raises(pytest.fail.Exception, match=f"this test starts a process .*@pytest.mark.{MARKER}"):
                start()
