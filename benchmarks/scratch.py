"""A temporary copy of the working tree, in which stages run and data are prepared without touching the real one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from benchmarks.variants import FEWER_STEPS, MINILM, MODELS, PRECISIONS, STUDIES, Model, Variant
from src.data.prepared import LabelledSplit, PreparedTask, load_task
from src.params import PARAMS_FILE, Params, Precision, RunSettings, check_params, read_yaml
from src.study.named.overrides import STUDIES_FOLDER, merged_content, study_file

REPOSITORY = Path(__file__).parent.parent
RESULTS = ("metrics/", "plots/", "dvc.lock")


@dataclass(frozen=True)
class Setting:
    """Where a row works and how much it measures: `steps` training steps, `repeats` times.

    `models` and `precisions` are those asked for; nothing where each row measures its own.
    """

    root: Path
    steps: int
    repeats: int
    glue_folder: Path | None = None
    models: tuple[Model, ...] = ()
    precisions: tuple[Precision, ...] = ()

    @property
    def params(self) -> Params:
        """params.yaml of the copy, in fp32."""
        return self.params_of(MINILM)

    def params_of(self, variant: Variant) -> Params:
        """params.yaml of the copy with the variant's models and precision."""
        content, study = read_yaml(self.root / PARAMS_FILE), STUDIES[variant.model]
        models = {} if study is None else read_yaml(study_file(study, self.root / STUDIES_FOLDER))["models"]
        own = {"models": models, "runtime": {"precision": variant.precision}}
        return check_params(self.root / PARAMS_FILE, merged_content(content, own))

    def steps_of(self, variant: Variant) -> int:
        """Training steps of one measurement: fewer for a larger model."""
        return max(2, self.steps // FEWER_STEPS[variant.model])

    def variants(self, own: Sequence[Variant]) -> list[Variant]:
        """A row's own variants; or, where models or precisions are asked for, each of these with each."""
        if not self.models and not self.precisions:
            return list(own)
        return [Variant(*both) for both in product(self.models or MODELS[:1], self.precisions or PRECISIONS)]

    def has_glue(self, task: str) -> bool:
        """Whether the local folder holds that GLUE task."""
        return self.glue_folder is not None and (self.glue_folder / task).is_dir()


def working_copy(folder: Path) -> None:
    """Copy the files of the working tree, committed or not, but for the results."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(RESULTS) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def run(folder: Path, *command: str) -> str:
    """Run a command in a copy, with this Python's tools on the path; its output.

    Raises:
        RuntimeError: it failed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outcome = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {outcome.stderr or outcome.stdout}")
    return outcome.stdout


def prepared(setting: Setting, task: str, **task_settings: Any) -> PreparedTask:
    """A task prepared by the project's own stage; `task_settings` add to or replace those of params.yaml."""
    content = yaml.safe_load((setting.root / "params.yaml").read_text())
    content["task_settings"].setdefault(task, {}).update(task_settings)
    if setting.glue_folder is not None:
        content["glue"]["folder"] = str(setting.glue_folder.resolve())
    (setting.root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    if not (setting.root / "data" / task).is_dir():
        run(setting.root, sys.executable, "-m", "stages.prepare", "--task", task)
    return load_task(task, setting.root / "data")


def teacher_of(setting: Setting, variant: Variant, task: str = "vader-movie") -> tuple[PreparedTask, RunSettings]:
    """A plain teacher in a variant: as many train rows as are measured, and its settings."""
    settings = setting.params_of(variant).teacher(task, "ce")
    return first_rows(prepared(setting, task), setting.steps_of(variant) * settings.training.batch_size), settings


def first_rows(task: PreparedTask, rows: int) -> PreparedTask:
    """The same task with its first train rows only; prepared splits are shuffled, so they are a sample."""
    train = task.train
    return replace(task, train=LabelledSplit(train.row_ids[:rows], train.texts[:rows], train.labels[:rows]))
