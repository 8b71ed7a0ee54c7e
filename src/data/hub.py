"""Data sets of the Hugging Face hub, through `datasets` and its cache."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from src.errors import UserError, first_line
from src.files import NOT_ALLOWED
from src.params import Glue, TaskSettings


def read_hub(name: str, settings: TaskSettings, glue: Glue, split: str) -> tuple[str, pd.DataFrame, bool]:
    """Where the split is from, its rows, and whether the data set names its labels.

    Raises:
        UserError: it cannot be loaded, or its labels have other names or another order than the task's.
    """
    from datasets.exceptions import DatasetsError  # slow to import, and needed for the hub only

    is_glue = settings.source == "glue"
    repository, revision = (glue.repository, glue.revision) if is_glue else (settings.path, settings.revision)
    place = f"{repository}/{settings.part or ''} {split}"
    try:
        rows, names = _load(repository, settings.part, split, revision, settings.label)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        hint = f"{'set glue.folder' if is_glue else 'use source: folder'} for a local copy"
        allowed = f"check the network, or {hint}"
        if getattr(error, "errno", None) in NOT_ALLOWED:
            allowed = f"set HF_HOME to a folder that you may write to, or {hint}"
        raise UserError(f"task {name}: {place}", f"cannot be loaded ({first_line(error)})", allowed) from None
    _check_label_names(place, names, settings.labels)
    return place, rows, bool(names)


def _load(repository: str, part: str | None, split: str, revision: str, label: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows, and the names that the data set gives its labels."""
    from datasets import Dataset, disable_progress_bars, load_dataset

    disable_progress_bars()

    def load(cache: str | None = None) -> tuple[pd.DataFrame, list[str]]:
        rows: Dataset = load_dataset(repository, part, split=split, revision=revision, cache_dir=cache)
        return rows.to_pandas(), getattr(rows.features.get(label), "names", None) or []

    try:
        return load()
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
    with _cache_of_links() as cache:
        return load(cache)


@contextmanager
def _cache_of_links() -> Iterator[str]:
    """The cache of `datasets` as links in a folder of our own, for the while: it locks files even to read them."""
    from datasets import config

    cache = Path(config.HF_DATASETS_CACHE).expanduser()
    with tempfile.TemporaryDirectory() as folder:
        if os.access(cache, os.R_OK):
            locks = shutil.ignore_patterns("*.lock")
            shutil.copytree(cache.absolute(), folder, copy_function=os.symlink, ignore=locks, dirs_exist_ok=True)
        yield folder


def _check_label_names(place: str, names: list[str], labels: list[str]) -> None:
    """Where the data set names its labels, params must name them alike and in the same order (case aside)."""
    if names and [name.casefold() for name in names] != [label.casefold() for label in labels]:
        allowed = f"set the task's labels to [{', '.join(names)}]"
        raise UserError(place, f"its labels are not {', '.join(labels)} in this order", allowed)
