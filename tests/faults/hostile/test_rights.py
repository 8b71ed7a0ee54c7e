"""Folders and files that may not be read or written."""

import subprocess
import sys
from pathlib import Path

import pytest

import stages.finetune
import stages.prepare
from tests.faults.hostile.cases import FINETUNE, PREPARE, Case, in_a_process, write_params
from tests.support.repository import may_only_be_read, without_privileges

# Folders that may only be read, each with a stage that writes to it and its arguments
READ_ONLY = {
    "data": ["stages.prepare", *PREPARE],
    "checkpoints": ["stages.finetune", *FINETUNE],
    "runs": ["stages.finetune", *FINETUNE],
}


@pytest.mark.parametrize("place", READ_ONLY)
def test_a_folder_that_may_only_be_read(model, refused, place):
    write_params(
        ("models.teacher", {"source": "folder", "name": "model"}),
        ("models.student.layers", None),
        ("finetune.training.epochs", 1),
    )
    Path(place).mkdir(exist_ok=True)
    may_only_be_read(Path(place))
    outcome = in_a_process(*without_privileges(), sys.executable, "-m", *READ_ONLY[place])
    assert outcome.returncode == 1
    case = Case(
        f"{place}/: a folder that may only be read", None, "cannot be written (Permission denied); make it writable"
    )
    refused.line("rights", case, outcome.stderr)
    assert outcome.stderr.startswith(f"error: {place}/tiny")


# What may not be read, and the file that the line then names
UNREADABLE = {"source": "source", "data/tiny/splits/train.parquet": "data/tiny/splits/train.parquet"}


@pytest.mark.parametrize("path", UNREADABLE)
def test_what_may_not_be_read(model, refused, path):
    Path(path).chmod(0)
    command = ["stages.prepare", *PREPARE] if path == "source" else ["stages.finetune", *FINETUNE]
    outcome = in_a_process(*without_privileges(), sys.executable, "-m", *command)
    Path(path).chmod(0o755)
    assert outcome.returncode == 1
    case = Case(f"{path}: no right to read it", None, "not readable (Permission denied); make it readable")
    refused.line("rights", case, outcome.stderr)
    assert outcome.stderr.startswith(f"error: {UNREADABLE[path]}")


def test_a_folder_on_a_disk_that_may_only_be_read(workplace, refused):
    Path("data").mkdir()
    read_only = "mount --bind data data && mount -o remount,bind,ro data && exec "
    command = ["unshare", "--mount", "sh", "-c", f"{read_only}{sys.executable} -m stages.prepare --task tiny"]
    if subprocess.run([*command[:-1], f"{read_only}true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a folder needs root")
    outcome = in_a_process(*command)
    assert outcome.returncode == 1
    case = Case("data/ on a disk that may only be read", None, "data/tiny: cannot be written (Read-only file system)")
    refused.line("rights", case, outcome.stderr)


def test_a_file_in_the_place_of_the_data_folder(workplace, refused):
    Path("data").touch()
    case = Case("a file in the place of data/", None, "data/tiny: cannot be written (File exists); make it writable")
    refused("rights", case, stages.prepare.main, *PREPARE)
