"""Python without docstrings, which transformers needs."""

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

LINE = "from src.system.errors import stage; stage(lambda: print('ran'))()"  # what each stage is, without its imports


@pytest.mark.parametrize("level", ["1", "2"])
def test_python_without_docstrings_is_refused_before_any_work(record_fault, level):
    command = [sys.executable, "-c", LINE]
    environment = os.environ | {"PYTHONOPTIMIZE": level}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if level == "1":
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ran\n", "")
        told = "runs"
    else:
        assert (ended.returncode, ended.stdout) == (1, "")
        [told] = ended.stderr.splitlines()
        assert told.startswith("error: PYTHONOPTIMIZE: is 2 (or Python runs with -OO), which drops")
        assert told.endswith("unset it, or set it to 1")
    record_fault("the environment", f"PYTHONOPTIMIZE={level}", told if level == "1" else f"`` {told} ``")
