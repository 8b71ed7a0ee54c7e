"""Two users of one folder: what one has made is replaced whole or not at all, and the line says whose it is.

Real users, as which only root can run commands; their group owns the folder, and its setgid bit is set.
"""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from src.core.models.files import locate
from src.params import ModelSource
from src.runs import RunResult, save_run
from src.system.errors import UserError
from src.system.files import read_tensors
from tests.conftest import REPOSITORY
from tests.faults.hostile.cases import PREPARE, jsonl, write_params
from tests.support.repository import digests

KIND = "two users of one folder"
FIRST, SECOND, GROUP = "daemon", "nobody", 100
SHARED = 0o002  # a umask


def as_user(user: str, *command: str) -> subprocess.CompletedProcess:
    """Run a command as another user, in the group that both are in."""
    prefix = ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"]
    variables = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
    return subprocess.run(
        [*prefix, *command],
        env=os.environ | variables,
        umask=SHARED,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def group_folder() -> Generator[Path]:
    """A folder of the group, where the first user has prepared a task; pytest's own is closed to other users."""
    if os.geteuid() != 0:
        pytest.skip("to be two users needs root")
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
        (folder / "source").mkdir()
        for split, rows in (("train", 160), ("validation", 60)):
            (folder / "source" / f"{split}.jsonl").write_bytes(jsonl(rows))
        write_params()
        if shutil.which("setpriv") is None or prepared_by(FIRST).returncode != 0:
            pytest.skip("no other user can run this Python here")
        yield folder


@pytest.fixture
def shared(group_folder, monkeypatch) -> Path:
    """That folder, as the current one."""
    monkeypatch.chdir(group_folder)
    return group_folder


def prepared_by(user: str) -> subprocess.CompletedProcess:
    return as_user(user, sys.executable, "-m", "stages.prepare", *PREPARE)


class Kept(NamedTuple):
    """What the second user may not do; the folder that says so, its mode, and what the line says."""

    fault: str
    folder: str
    mode: int
    reason: str


KEPT = [
    Kept("write to it", "data/tiny", 0o2755, f"Permission denied: data/tiny belongs to {FIRST}"),
    Kept("write to the folder above", "data", 0o2755, f"Permission denied: data belongs to {FIRST}"),
    Kept("rename it: a sticky bit", "data", 0o3775, f"Operation not permitted: data/tiny belongs to {FIRST}"),
]


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.fault)
def test_what_may_not_be_replaced_stays_whole(shared, record_fault, case):
    Path(case.folder).chmod(case.mode)
    before = digests(shared, "data")
    outcome = prepared_by(SECOND)
    Path(case.folder).chmod(0o2775)
    assert outcome.returncode == 1
    line = (
        f"error: data/tiny: cannot be written ({case.reason}); make it writable for your user, or use another place\n"
    )
    assert outcome.stderr == line
    assert digests(shared, "data") == before
    assert [path.name for path in Path("data").iterdir()] == ["tiny"]
    record_fault(KIND, f"`prepare` by another user, who may not {case.fault}", f"`` {line.strip()} ``; nothing is lost")


def test_with_umask_002_a_second_user_replaces_what_the_first_has_made(shared, record_fault):
    before = digests(shared, "data")
    outcome = prepared_by(SECOND)
    assert outcome.returncode == 0, outcome.stderr
    assert digests(shared, "data") == before
    made = [Path("data/tiny"), *Path("data/tiny").rglob("*")]
    assert {path.owner() for path in made} == {SECOND}
    assert {path.stat().st_gid for path in made} == {GROUP}
    assert [path.name for path in Path("data").iterdir()] == ["tiny"]
    record_fault(KIND, "`prepare` by one user after another, umask 002", "the task is made anew, whole")


@pytest.fixture
def group_umask() -> Generator[None]:
    before = os.umask(SHARED)
    yield
    os.umask(before)


def features_of(folder: Path) -> Path:
    """The features of a run that is saved there, with a model beside them that a library writes."""
    result = RunResult({}, pd.DataFrame({"epoch": [1]}), pd.DataFrame({"split": ["test"]}), {"test": np.ones((2, 3))})

    def save_model(model: Path) -> None:
        model.mkdir()
        save_file({"weight": np.zeros(2)}, model / "model.safetensors")

    save_run(folder, result, [save_model])
    return folder / "features.safetensors"


def test_what_a_library_makes_for_its_user_alone_gets_the_rights_of_the_umask(tmp_path, group_umask, record_fault):
    save_file({"weight": np.zeros(2)}, tmp_path / "alone.safetensors")
    assert stat.S_IMODE((tmp_path / "alone.safetensors").stat().st_mode) == 0o600  # else all this is in vain
    features_of(tmp_path / "run")
    modes = {str(path.name): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").rglob("*")}
    assert modes.pop("model") == 0o775
    assert set(modes.values()) == {0o664}
    assert len(modes) == 5
    record_fault(KIND, "safetensors files, which the library makes with mode 0600", "they get the rights of the umask")


READERS = {
    "features of a run": ("run/features.safetensors", lambda path: read_tensors(path)),
    "weights of a model": (
        "run/model/model.safetensors",
        lambda path: locate(ModelSource(source="folder", name=str(path.parent))),
    ),
}


@pytest.mark.parametrize("what", READERS)
def test_safetensors_files_that_may_not_be_read(shared, record_fault, what):
    """The library itself says "No such file" of them."""
    name, read = READERS[what]
    path = Path(name)
    features_of(shared / "run")
    (shared / "run/model/config.json").write_text("{}")
    path.chmod(0o600)
    os.seteuid(pwd.getpwnam(SECOND).pw_uid)
    try:
        with pytest.raises(UserError) as caught:
            read(path)
    finally:
        os.seteuid(0)
    assert str(caught.value) == f"{path}: not readable (Permission denied); make it readable for your user"
    record_fault(KIND, f"{what} that only their owner may read", f"`` error: {caught.value} ``")


def test_a_launcher_whose_number_another_user_has_now(shared, record_fault):
    """This test's process, which is root's, stands for that of the other user."""
    code = f"""
import os
os.environ["CMI_GLUE_LAUNCHER"] = "{os.getpid()}"
from src.system.interrupts import StopRequest
from src.parallel.dvc_process import signal_group
print(StopRequest().pending(), signal_group({os.getpgrp()}, 0))
"""
    outcome = as_user(SECOND, sys.executable, "-c", code)
    assert outcome.stdout == "None False\n", outcome.stderr
    record_fault(KIND, "a launcher was killed, and another user has its process number now", "its units go on")
