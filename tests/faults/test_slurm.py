"""docs/study.sbatch, with a stand-in for `sbatch` that runs a job here at once, as the first part of its array."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import psutil
import pytest
import yaml

from src.study.named.overrides import study_content
from tests.conftest import REPOSITORY
from tests.support.repository import clone_with, run, tiny_study, with_tools

KIND = "A study as jobs of SLURM"
SBATCH = """#!/usr/bin/env bash
export SLURM_SUBMIT_DIR=$PWD SLURM_JOB_ID=101 SLURM_ARRAY_TASK_ID=1 "${1#--export=}"
exec bash "$2"
"""


@pytest.fixture
def submit(tmp_path):
    """Starts `sbatch --export=... docs/study.sbatch` in a folder, in a process group of its own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH)
    (tools / "sbatch").chmod(0o755)

    def start(folder: Path, export: str = "STUDY=again") -> subprocess.Popen:
        environment = with_tools() | {"PATH": f"{tools}{os.pathsep}{with_tools()['PATH']}"}
        command = ["sbatch", f"--export={export}", "docs/study.sbatch"]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)

    return start


@pytest.fixture
def repository(tmp_path) -> Path:
    """A committed study in a git repository whose stages do nothing, and whose cache is on a common disk."""
    folder = tmp_path / "submitted"
    shared = "[cache]\n    dir = ../../cache\n"
    files = {"studies/again/study.yaml": "seeds: [0]\n", ".dvc/config": "", ".dvc/config.local": shared, "notes": ""}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("config.local\n/.dvc/tmp\n/.venv\n")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "src").symlink_to(REPOSITORY / "src")
    (folder / "stages").mkdir()
    (folder / "stages/check.py").write_text("")
    (folder / "stages/study.py").write_text("print('a part runs')\n")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    (folder / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/study.sbatch", folder / "docs")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=tests", "-c", "user.email=tests@example.org", "commit", "--quiet", "-m", "it")
    return folder


NOT_COMMITTED = ": not committed, and a part would run without it: "
REFUSED = {
    "a study that is changed": (
        "studies/again/study.yaml",
        "changed",
        "STUDY=again",
        f"{NOT_COMMITTED} M studies/again/study.yaml;",
    ),
    "a study that is new": ("studies/new/study.yaml", "new", "STUDY=new", f"{NOT_COMMITTED}?? studies/new/;"),
    "a cache of its own": (".dvc/config.local", None, "STUDY=again", ": DVC's cache is its own; put it where every"),
    "a setting of its own, and no cache": (
        ".dvc/config.local",
        "[core]\n    hardlink_lock = true\n",
        "STUDY=again",
        ": DVC's cache is its own; put it where every",
    ),
    "params.yaml that is changed": (
        "params.yaml",
        f"{(REPOSITORY / 'params.yaml').read_text()}\nmine: 1\n",
        "STUDY=again",
        "params.yaml: mine: has an uncommitted change, but a study builds on the committed params.yaml",
    ),
    "no study named": (
        "notes",
        "changed",
        "OTHER=x",
        "STUDY: is not set; sbatch --export=STUDY=glue docs/study.sbatch",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_job_that_would_run_something_else_is_refused(repository, submit, record_fault, name):
    path, text, export, expected = REFUSED[name]
    (repository / path).unlink(missing_ok=True)
    if text is not None:
        (repository / path).parent.mkdir(exist_ok=True)
        (repository / path).write_text(text)
    process = submit(repository, export)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    [line] = told.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (repository / ".dvc/tmp").exists()
    record_fault(KIND, name, f"`` {line.replace(str(repository), 'REPOSITORY')} ``")


def test_a_job_after_another_study_has_the_cache_of_the_repository(repository, submit, record_fault):
    """params.yaml is what that study left there; the clone lies in another folder than a relative cache counts from."""
    with chdir(repository):
        Path("params.yaml").write_text(yaml.safe_dump(study_content("again")))
    process = submit(repository)
    told, _ = process.communicate(timeout=60)
    assert (process.returncode, told.splitlines()[-1]) == (0, "a part runs"), told
    clone = repository / ".dvc/tmp/parts/101"
    assert (clone / "params.yaml").read_bytes() == (REPOSITORY / "params.yaml").read_bytes()
    assert run(clone, "dvc", "cache", "dir").strip() == str(repository.parent / "cache")
    record_fault(KIND, "params.yaml is as another study left it", "its parts build on the committed one")


@pytest.mark.slow
def test_a_job_that_is_requeued_goes_on_from_its_checkpoint(tmp_path, tiny_encoder, submit, record_fault):
    """Its node is lost: everything that ran there ends at once, and what lay on its own disk is gone."""
    folder, source = tmp_path / "submitted", tmp_path / "source"
    source.mkdir()
    content = tiny_study(tiny_encoder, source) | {"checkpoints": {"seconds": 0, "largest_share": 1.0}}
    content["finetune"]["training"]["epochs"] = 12
    clone_with(folder, content)
    (folder / "studies/again").mkdir(parents=True)
    (folder / "studies/again/study.yaml").write_text("seeds: [0]\n")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "a study")
    (folder / ".venv").symlink_to(sys.prefix)
    run(folder, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))

    job = submit(folder)
    while not list((folder / "checkpoints").glob("*/step-*.pt")):
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)
    clone = folder / ".dvc/tmp/parts/101"
    for process in psutil.process_iter(["cwd"]):
        if process.pid == job.pid or Path(process.info["cwd"] or "/").is_relative_to(clone):
            process.kill()
    job.communicate()

    again = submit(folder)
    told, _ = again.communicate(timeout=600)
    assert again.returncode == 0, told
    assert "this part is up to date" in told
    assert "going on from the checkpoint at step" in (clone / "logs/again/tiny-0.log").read_text()
    record_fault(KIND, "its node is lost in training, and SLURM requeues it", "went on from its checkpoint")
