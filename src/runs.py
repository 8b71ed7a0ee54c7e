"""The runs of a study: their names, and their results on disk.

    runs/<task>/<role>/<arm>/<seed>/record.json          settings, best epoch, environment
                                    history.csv          one row per epoch
                                    logits.parquet       split, row_id, logit_0 ... logit_C-1
                                    features.safetensors h of the first selection and test rows
                                    model/               if runtime.keep_weights is true

A student's arm is `<recipe>-<teacher>`, or the name of an arm without a teacher. The teacher is a teacher arm, or one
that is changed after its training: `<arm>_as_<another>` (matched in CMI), `<arm>_calibrated`, or a name from
`distill.mapped`.

Timing differs between equal runs and is no result. It goes to timing/, which neither DVC nor git follows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from src.arms import arms_of
from src.params import Params, Role
from src.system.errors import UserError
from src.system.files import (
    is_file,
    new_folder,
    read_csv,
    read_json,
    read_parquet,
    read_tensors,
    write_csv,
    write_json,
    write_parquet,
)

if TYPE_CHECKING:  # `src.system.files` gives the reason
    import numpy as np
    import pandas as pd

RUNS_FOLDER = Path("runs")
TIMING_FOLDER = Path("timing")


@dataclass(frozen=True, order=True)
class RunName:
    """One training run of the study."""

    task: str
    role: Role
    arm: str
    seed: int

    def folder(self, root: Path = RUNS_FOLDER) -> Path:
        """The folder of the run's results below `root`."""
        return root / self.task / self.role / self.arm / str(self.seed)

    def __str__(self) -> str:
        return f"{self.task}/{self.role}/{self.arm}/{self.seed}"


@dataclass(frozen=True)
class RunResult:
    """The results of a run, as the module's docstring lists them."""

    record: dict
    history: "pd.DataFrame"
    logits: "pd.DataFrame"
    features: "dict[str, np.ndarray]"


def runs_of_task(params: Params, task: str) -> list[RunName]:
    """Every run of params.yaml on one task, teachers first."""
    arms = [(role, arm) for role, names in arms_of(params).items() for arm in names]
    return [RunName(task, role, arm, seed) for role, arm in arms for seed in params.seeds_of(task)]


def logits_table(logits: "dict[str, np.ndarray]", row_ids: dict[str, list[str]]) -> "pd.DataFrame":
    """Logits of several splits as one table, with the columns split, row_id, logit_0 ... logit_C-1."""
    import pandas as pd

    parts = []
    for split, values in logits.items():
        part = pd.DataFrame(values, columns=[f"logit_{number}" for number in range(values.shape[1])])
        part.insert(0, "row_id", row_ids[split])
        part.insert(0, "split", split)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def split_logits(table: "pd.DataFrame", split: str, row_ids: list[str], source: object) -> "np.ndarray":
    """The logits (N, C) of one split, after checking that the table has exactly these rows in this order.

    Raises:
        UserError: the table has other rows.
    """
    part = table[table["split"] == split]
    if part["row_id"].tolist() != row_ids:
        problem = f"its {split} rows differ from the prepared task's"
        raise UserError(source, problem, "run `dvc repro` from prepare")
    return part.filter(like="logit_").to_numpy()


def save_run(folder: Path, result: RunResult, savers: Iterable[Callable[[Path], object]] = ()) -> None:
    """Write a run's folder, all of it or nothing. Each of `savers` adds its part to the folder of the weights."""
    from safetensors.numpy import save_file

    with new_folder(folder) as draft:
        write_json(draft / "record.json", result.record)
        write_csv(draft / "history.csv", result.history)
        write_parquet(draft / "logits.parquet", result.logits)
        save_file(result.features, draft / "features.safetensors")
        for save in savers:
            save(draft / "model")


def load_run(folder: Path) -> RunResult:
    """Read a run's folder.

    Raises:
        UserError: the run is missing, or one of its files is damaged.
    """
    logits = load_logits(folder)
    return RunResult(
        record=read_json(folder / "record.json"),
        history=read_csv(folder / "history.csv"),
        logits=logits,
        features=read_tensors(folder / "features.safetensors"),
    )


def load_logits(folder: Path) -> "pd.DataFrame":
    """Read the logits of a run. A student needs nothing else from its teacher.

    Raises:
        UserError: the run is missing, or the file is damaged.
    """
    path = folder / "logits.parquet"
    if not is_file(path):
        raise UserError(folder, "this run has not been made", "run `dvc repro`")
    return read_parquet(path)
