"""A prepared task on disk: three splits, and the test labels in a folder of their own.

    data/<task>/splits/task.json          label names, metrics, sizes and the hash of the splits
                       train.parquet      row_id, text_a[, text_b], label
                       selection.parquet  the same[, human_<label> per class]
                       test.parquet       row_id, text_a[, text_b]
                       transfer.parquet   row_id, text_a[, text_b]: rows for distillation, without labels; may be empty
                       also_test.parquet  the same, if the task has a second test set
    data/<task>/test_labels/test.parquet  row_id, label[, human_<label> per class]; also_test.parquet likewise

In a task with folds each seed has its own cut in its own folder: splits/<seed>/train.parquet and so on, and
test_labels/<seed>/test.parquet. A run reads the cut of its seed.

Training depends on splits/ alone. Only `collect` reads test_labels/, so no choice can depend on test labels. The two
folders are separate outputs of DVC, because it compares whole outputs with dvc.lock if their files are missing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from src.data.sources.labelled_text import HUMAN_PREFIX, SEED
from src.system.errors import UserError
from src.system.files import is_file, read_json, read_parquet

if TYPE_CHECKING:  # `src.system.files` gives the reason
    import numpy as np
    import pandas as pd

DATA_FOLDER = Path("data")
SPLITS_FOLDER, LABELS_FOLDER = "splits", "test_labels"
FOLDS = "folds"  # a key in the task.json of a task with folds
SPLITS = ("train", "selection", "test")
DAMAGED = "delete it and run `dvc repro`"


@dataclass(frozen=True)
class Split:
    """The rows of one split, without labels: ids, and one tuple of texts per row."""

    row_ids: list[str]
    texts: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.row_ids)


@dataclass(frozen=True)
class LabelledSplit(Split):
    """A split whose labels (N,) training can read."""

    labels: "np.ndarray"


@dataclass(frozen=True)
class PreparedTask:
    """The part of a task that training can read: only `train` and `selection` have labels.

    `unlabelled` has the other splits by name: test, transfer and, if the task has a second test set, also_test.
    """

    name: str
    label_names: list[str]
    metrics: list[str]
    train: LabelledSplit
    selection: LabelledSplit
    unlabelled: dict[str, Split]

    @property
    def splits(self) -> dict[str, Split]:
        """All splits by name."""
        return {"train": self.train, "selection": self.selection, **self.unlabelled}

    @property
    def test(self) -> Split:
        """The rows on which the model is tested."""
        return self.unlabelled["test"]

    @property
    def transfer(self) -> Split:
        """Rows for distillation; may be empty."""
        return self.unlabelled["transfer"]


def load_task(name: str, root: Path = DATA_FOLDER, seed: int | None = None) -> PreparedTask:
    """Read a prepared task without test labels.

    Args:
        seed: the run's seed, which chooses the cut of a task with folds.

    Raises:
        UserError: the task has not been prepared, or one of its files is damaged.
    """
    folder = root / name / SPLITS_FOLDER
    if not is_file(folder / "task.json"):
        raise UserError(root / name, "has not been prepared", "run `dvc repro`")
    description = read_json(folder / "task.json")
    if not isinstance(description, dict) or not {"label_names", "metrics"} <= description.keys():
        raise UserError(folder / "task.json", "lacks label_names or metrics", DAMAGED)
    if FOLDS in description:
        folder = _of_seed(folder, seed)
    train, selection = (_read_labelled_split(folder / f"{split}.parquet") for split in ("train", "selection"))
    others = ["test", "transfer", *(["also_test"] if "also_test" in description else [])]
    unlabelled = {split: _read_split(folder / f"{split}.parquet") for split in others}
    return PreparedTask(name, description["label_names"], description["metrics"], train, selection, unlabelled)


def load_description(name: str, root: Path = DATA_FOLDER) -> dict:
    """Read the content of task.json."""
    return read_json(root / name / SPLITS_FOLDER / "task.json")


def load_test_labels(name: str, root: Path = DATA_FOLDER, split: str = "test") -> "pd.DataFrame":
    """Read the labels of test or also_test, with the raters' shares if there are any. Only the evaluation may call it.

    For a task with folds the result has the labels of all seeds, and a column `seed`.
    """
    return _read_labels(root / name, f"{LABELS_FOLDER}/{{seed}}{split}.parquet")


def load_selection_labels(name: str, root: Path = DATA_FOLDER) -> "pd.DataFrame":
    """Read the selection labels, with the raters' shares if there are any; with folds, as `load_test_labels` does."""
    rows = _read_labels(root / name, f"{SPLITS_FOLDER}/{{seed}}selection.parquet")
    return rows[["row_id", "label", *rows.filter(regex=f"^({HUMAN_PREFIX}.*|{SEED})$").columns]]


def _of_seed(folder: Path, seed: int | None) -> Path:
    """The folder of a seed's cut."""
    own = folder / str(seed)
    if not own.is_dir():
        raise UserError(own, f"its fold has not been prepared for seed {seed}", "run `dvc repro`")
    return own


def _read_labels(task: Path, name: str) -> "pd.DataFrame":
    """The rows of a file of a task; `{seed}` in `name` stands for the folder of a cut, if the task has folds."""
    import pandas as pd

    description = read_json(task / SPLITS_FOLDER / "task.json")
    if FOLDS not in description:
        return read_parquet(task / name.format(seed=""))
    cuts = {seed: read_parquet(task / name.format(seed=f"{seed}/")) for seed in description["splits"]}
    return pd.concat([rows.assign(**{SEED: int(seed)}) for seed, rows in cuts.items()], ignore_index=True)


def _read_labelled_split(path: Path) -> LabelledSplit:
    rows = _read_rows(path, {"row_id", "text_a", "label"})
    return LabelledSplit(rows["row_id"].tolist(), _texts(rows), rows["label"].to_numpy())


def _read_split(path: Path) -> Split:
    rows = _read_rows(path, {"row_id", "text_a"})
    return Split(rows["row_id"].tolist(), _texts(rows))


def _read_rows(path: Path, needed: set[str]) -> "pd.DataFrame":
    rows = read_parquet(path)
    if not needed <= set(rows.columns):
        raise UserError(path, f"lacks the columns {', '.join(sorted(needed - set(rows.columns)))}", DAMAGED)
    return rows


def _texts(rows: "pd.DataFrame") -> list[tuple[str, ...]]:
    return list(rows.filter(regex="^text_").itertuples(index=False, name=None))
