"""A temporary copy of this repository, and real commands in it."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from src.params import ModelSource
from tests.conftest import REPOSITORY, labelled_texts, params_content
from tests.support.warm_python import TOOLS

OUTPUTS = ("data", "runs", "metrics", "plots")
PATHLIB = Path(Path.replace.__code__.co_filename).name  # for tests/support/killing: another file in newer Pythons


def with_tools(**more: str) -> dict[str, str]:
    """The environment with this Python's tools first on the path, and more variables."""
    return os.environ | {"PATH": os.pathsep.join([*map(str, TOOLS), os.environ["PATH"]])} | more


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen:
    """Start a command in the clone, in a process group of its own; its output is one stream."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=with_tools(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *command: str, ok: bool = True) -> str:
    """Run a command in the clone with this Python's tools on the path; its output, both streams."""
    outcome = subprocess.run(
        command, cwd=folder, env=with_tools(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert (outcome.returncode == 0) == ok, outcome.stdout
    return outcome.stdout


def queue_at_its_end(folder: Path, *names: str, seconds: float = 400) -> dict[str, str]:
    """The states of named experiments of DVC's queue when none is queued or running."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = [line.split() for line in run(folder, "dvc", "queue", "status").splitlines()]
        states = {row[1]: row[-1] for row in rows if len(row) > 2 and row[1] in names}
        if states and not set(states.values()) & {"Queued", "Running"}:
            return states
        time.sleep(3)
    raise TimeoutError(f"the queue was not done after {seconds} s: {states}")


def stages_run(told: str) -> list[str]:
    """The stages that DVC runs by its own output. `settings` always runs, and nothing else if all is up to date."""
    return [line.split("'")[1] for line in told.splitlines() if line.startswith("Running stage")]


def without_privileges() -> list[str]:
    """The start of a command line without root's privileges, so that permissions hold. Skips if that is impossible."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], check=False).returncode != 0:
        pytest.skip("root may write anywhere, and setpriv, which could change that, does not work here")
    return command


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[None]:
    """A tmpfs of that size in place of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_only_be_read(folder: Path) -> None:
    """Make a folder read-only for users without privileges, with all files in it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def clone(folder: Path) -> None:
    """A git repository with the files of this working tree, committed or not, without its results."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("metrics/", "plots/", "dvc.lock")) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "git", "config", "user.email", "tests@example.org")
    run(folder, "git", "config", "user.name", "tests")


def clone_with(folder: Path, content: dict) -> None:
    """A clone with params of its own, which are committed."""
    folder.mkdir(exist_ok=True)
    clone(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "params")


def tiny_study(encoder: ModelSource, source: Path) -> dict:
    """Params of one task of few rows, which this writes to `source`, on a tiny model; each run takes a second."""
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        lines = [json.dumps(row) for row in labelled_texts(rows, seed, noise=0.1)]
        (source / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    content = params_content() | {"tasks": ["tiny"], "seeds": [0], "study": "tiny"}
    model = encoder.model_dump()
    content["models"] = {"teacher": model, "student": model | {"layers": [0, 2]}}
    content["runtime"]["threads"] = 1
    content["evaluate"]["claims"] = {}
    for section in ("finetune", "student"):
        content[section]["training"] |= {"epochs": 2, "batch_size": 16, "lr": 3e-3}
    content["task_settings"]["tiny"] = {
        "source": "folder",
        "path": str(source),
        "text": ["sentence"],
        "labels": ["negative", "positive"],
        "metrics": ["accuracy", "f1"],
    }
    return content


def small_studies(
    root: Path, encoder: ModelSource, tasks: list[str], seeds: list[int], epochs: int
) -> tuple[Path, Path]:
    """A clone with a study, not run yet, and one in which plain `dvc repro` has run to its end.

    Checkpoints are saved at every step.
    """
    (root / "source").mkdir()
    content = tiny_study(encoder, root / "source") | {"tasks": tasks, "seeds": seeds}
    content["task_settings"] |= dict.fromkeys(tasks, content["task_settings"]["tiny"])
    content["checkpoints"] = {"seconds": 0, "largest_share": 1.0}
    content["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_max": {"cmi_weight": -2.0}}
    content["finetune"]["training"]["epochs"] = epochs
    new, whole = root / "new", root / "whole"
    clone_with(new, content)
    shutil.copytree(new, whole)
    run(whole, "dvc", "repro")
    return new, whole


def digests(folder: Path, *places: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for place in places
        for path in sorted((folder / place).rglob("*"))
        if path.is_file()
    }


def same_results(folder: Path, whole: Path) -> bool:
    """Whether two clones have the same results and the same dvc.lock, to the byte."""
    lock = (folder / "dvc.lock").read_bytes() == (whole / "dvc.lock").read_bytes()
    return lock and digests(folder, *OUTPUTS) == digests(whole, *OUTPUTS)
