"""A hub on the loopback interface, and stages that use it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from src.study.named.overrides import study_content
from tests.conftest import REPOSITORY
from tests.support.forked_stages import Ended, ForkedStages
from tests.support.hub_server import Hub

KIND = "the Hugging Face hub"
FINETUNE = ("finetune", "--task", "glue-rte", "--arm", "ce", "--seed", "0")
RTE = ("prepare", "--task", "glue-rte")


def study() -> dict[str, Any]:
    """The study glue in small: one seed, one teacher and one epoch, with the names of its data set and models."""
    content = study_content("glue", REPOSITORY / "params.yaml", REPOSITORY / "studies")
    content["seeds"], content["finetune"]["arms"] = [0], {"ce": {"cmi_weight": 0.0}}
    content["runtime"]["threads"] = 1
    for section in ("finetune", "student"):
        content[section]["training"] |= {"epochs": 1, "max_length": 32}
    return content


@dataclass
class World:
    """A hub, a folder whose `hf` is HF_HOME, and stages that use both."""

    hub: Hub
    root: Path
    stages: ForkedStages
    folders: int = 0

    def folder(self, repository: str = "nyu-mll/glue", **teacher: str) -> Path:
        """A new folder with params. The teacher may have another name or revision, and GLUE another name."""
        self.folders += 1
        folder, content = self.root / f"work-{self.folders}", study()
        content["models"]["teacher"] |= teacher
        content["glue"]["repository"] = repository
        folder.mkdir()
        (folder / "params.yaml").write_text(yaml.safe_dump(content))
        return folder

    def prepared(self, **teacher: str) -> Path:
        """A new folder in which RTE is prepared."""
        folder = self.folder(**teacher)
        (folder / "data").symlink_to(self.root / "work-1/data")
        return folder

    def alone(
        self,
        folder: Path,
        stage: str,
        *arguments: str,
        under: tuple[str, ...] = (),
        errors: int = subprocess.PIPE,
        **environment: str,
    ) -> subprocess.Popen:
        """Start a stage in a process of its own, for variables that libraries read at import."""
        own = {"HF_ENDPOINT": self.hub.address, "HF_HOME": str(self.root / "hf"), "PYTHONPATH": str(REPOSITORY)}
        command = [*under, sys.executable, "-m", f"stages.{stage}", *arguments]
        return subprocess.Popen(command, cwd=folder, env=os.environ | own | environment, stderr=errors, text=True)


def last_line(errors: str) -> str:
    """The last line of a stage, after the library's lines about retries."""
    assert "Traceback" not in errors
    return errors.strip().splitlines()[-1]


def as_told(world: World, errors: str) -> str:
    """The last line as the table of faults shows it, without the folders and ports of this run."""
    return f"`` {last_line(errors).replace(str(world.root), '...').replace(world.hub.address, 'the hub')} ``"


def check_refused(world: World, ended: Ended, expected: str) -> str:
    """Check that a stage ended with status 1 and the expected line; return the line for the table of faults."""
    assert ended.status == 1
    assert expected in last_line(ended.errors)
    return as_told(world, ended.errors)
