"""A temporary copy of the working tree, in which stages run and data are prepared. The real tree stays as it is."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.variants import FEWER_STEPS, MINILM, MODELS, PRECISIONS, STUDIES, Model, Variant
from src.data.prepared import LabelledSplit, PreparedTask, load_task
from src.parallel.dvc_process import own_tools
from src.params import PARAMS_FILE, Params, Precision, RunSettings, check_params, read_yaml
from src.params.reading import yaml_text
from src.study import STUDIES_FOLDER, study_file
from src.study.named.overrides import merged_content

REPOSITORY = Path(__file__).parent.parent
RESULTS = ("metrics/", "plots/", "dvc.lock")


@dataclass(frozen=True)
class Setting:
    """The folder in which a row of the benchmark works, and its size: `steps` training steps, `repeats` times.

    `models` and `precisions` are the user's choice. If they are empty, each row measures its own.
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
        """A row's own variants, or all combinations of the models and precisions that the user chose."""
        if not self.models and not self.precisions:
            return list(own)
        return [Variant(*both) for both in product(self.models or MODELS[:1], self.precisions or PRECISIONS)]

    def has_glue(self, task: str) -> bool:
        """Whether the local folder has a GLUE task."""
        return self.glue_folder is not None and (self.glue_folder / task).is_dir()


def working_copy(folder: Path) -> None:
    """Copy the files of the working tree, committed or not, without the results."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(RESULTS) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def run(folder: Path, *command: str) -> str:
    """Run a command in a copy with this Python's tools on the path, and return its output.

    Raises:
        RuntimeError: the command failed.
    """
    outcome = subprocess.run(command, cwd=folder, env=own_tools(), capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {outcome.stderr or outcome.stdout}")
    return outcome.stdout


def prepared(setting: Setting, task: str, **task_settings: Any) -> PreparedTask:
    """A task that the project's own stage prepared. `task_settings` are laid over the settings in params.yaml."""
    content = read_yaml(setting.root / PARAMS_FILE)
    content["task_settings"].setdefault(task, {}).update(task_settings)
    if setting.glue_folder is not None:
        content["glue"]["folder"] = str(setting.glue_folder.resolve())
    (setting.root / PARAMS_FILE).write_text(yaml_text(content))
    if not (setting.root / "data" / task).is_dir():
        run(setting.root, sys.executable, "-m", "stages.prepare", "--task", task)
    return load_task(task, setting.root / "data")


def teacher_of(setting: Setting, variant: Variant, task: str = "vader-movie") -> tuple[PreparedTask, RunSettings]:
    """A plain teacher in a variant: a task with the train rows to measure, and the run's settings."""
    settings = setting.params_of(variant).teacher(task, "ce")
    return first_rows(prepared(setting, task), setting.steps_of(variant) * settings.training.batch_size), settings


def first_rows(task: PreparedTask, rows: int) -> PreparedTask:
    """The same task with only its first train rows, which are a sample because prepared splits are shuffled."""
    train = task.train
    return replace(task, train=LabelledSplit(train.row_ids[:rows], train.texts[:rows], train.labels[:rows]))
