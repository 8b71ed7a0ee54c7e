"""`make setup` where it would install into another Python than .venv's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SIGNS = '"$`\\:'


def made_in(folder: Path) -> subprocess.CompletedProcess:
    """`make setup` with nothing to install from."""
    folder.mkdir()
    for path in (REPOSITORY / "Makefile", *REPOSITORY.glob("requirements*")):
        shutil.copy(path, folder)
    environment = os.environ | {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_REQUIRE_VIRTUALENV": "1"}
    command = ["make", "setup", "PYTHON=true"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_path_below_which_no_virtual_environment_works(tmp_path, record_fault):
    for sign in SIGNS:
        folder = tmp_path / f"a{sign}b"
        outcome = made_in(folder)
        assert outcome.returncode == 2
        words = 'a virtual environment does not work below it; move to a path without " $ ` \\ and :'
        assert outcome.stderr.splitlines()[0] == f"error: {folder}: {words}"
        assert not (folder / ".venv").exists()
    record_fault("setup", 'a repository below a folder `a"b`, `a$b`, `a:b`', f"`` error: {folder.name}: {words} ``")


@pytest.mark.parametrize("name", ["a b", "a'b", "a%b"])
def test_other_signs_are_no_hindrance(tmp_path, name):
    assert "virtual environment does not work" not in made_in(tmp_path / name).stderr
