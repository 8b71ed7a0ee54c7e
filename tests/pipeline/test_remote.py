"""The commands of docs/remote.md: one clone shares its runs, and others have them without training."""

import re
import shutil
import sys

import pytest

from tests.support.pages import commands
from tests.support.repository import clone_with, digests, run, stages_run, tiny_study

PAGE = "docs/remote.md"


@pytest.mark.slow
def test_a_second_clone_has_the_runs_without_training(tmp_path, tiny_encoder):
    """By its dvc.lock, and by the run cache where dvc.lock has none of them."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    (tmp_path / "source").mkdir()
    clone_with(first, tiny_study(tiny_encoder, tmp_path / "source"))
    for clone in (second, third):
        run(tmp_path, "git", "clone", "--quiet", str(first), str(clone))
        run(clone, "git", "config", "user.email", "a@b")
    run(first, sys.executable, "-m", "stages.repro")
    told = [command.replace("/srv/cmi-runs", str(tmp_path / "share")) for command, _ in commands(PAGE)]
    second_starts, third_starts = told.index("git pull --quiet"), told.index("dvc fetch --run-cache")

    for command in told[:second_starts]:
        run(first, "bash", "-c", command)
    outputs = [run(second, "bash", "-c", command) for command in told[second_starts:third_starts]]

    assert stages_run(outputs[-1]) == ["settings"]
    assert digests(second, "data", "runs") == digests(first, "data", "runs")
    assert run(second, "git", "status", "--short") == ""
    assert "Data and pipelines are up to date." in run(second, sys.executable, "-m", "stages.repro")

    shutil.copy(first / ".dvc/config", third / ".dvc")
    assert not (third / "dvc.lock").exists()
    outputs = [run(third, "bash", "-c", command) for command in told[third_starts:]]
    assert stages_run(outputs[-1]) == ["settings", "collect@tiny", "evaluate", "plot"]
    assert len(re.findall("is cached - skipping run", outputs[-1])) == 8  # data and seven runs
    assert digests(third, "runs") == digests(first, "runs")
