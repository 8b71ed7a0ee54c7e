"""Studies of several units on a tiny model."""

import shutil
from pathlib import Path

import psutil
import yaml

from src.params import ModelSource
from tests.repository import clone, digests, run, tiny_study

OUTPUTS = ("data", "runs", "metrics", "plots")


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
    new.mkdir()
    clone(new)
    (new / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    run(new, "git", "add", "--all")
    run(new, "git", "commit", "--quiet", "--message", "tiny")
    shutil.copytree(new, whole)
    run(whole, "dvc", "repro")
    return new, whole


def same_results(folder: Path, whole: Path) -> bool:
    """Whether two clones have the same results and the same dvc.lock, to the byte."""
    lock = (folder / "dvc.lock").read_bytes() == (whole / "dvc.lock").read_bytes()
    return lock and digests(folder, *OUTPUTS) == digests(whole, *OUTPUTS)


def at_work(folder: Path) -> list[psutil.Process]:
    """The processes in the units of a clone."""
    units = str(folder / ".dvc/tmp/units")
    return [process for process in psutil.process_iter(["cwd"]) if (process.info["cwd"] or "").startswith(units)]
