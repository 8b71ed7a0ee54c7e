"""Data sets of the Hugging Face hub, read with `datasets` and its cache."""

import os
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from src.data.sources.dataset import Columns, Location, RawSplit, with_canonical_columns
from src.data.sources.labels import names_in
from src.fetching.hub_cache import check_files, keep_listing, refused_token, show_progress
from src.system.errors import UserError, first_line
from src.system.files import user_path
from src.system.write_faults import NOT_ALLOWED

if TYPE_CHECKING:
    from datasets import Dataset


def read_hub(task: str, location: Location, columns: Columns, split: str) -> RawSplit:
    """Read a split of a data set on the hub; errors name `task`.

    Raises:
        UserError: it cannot be loaded.
    """
    from datasets.exceptions import DatasetsError  # slow to import, and only the hub needs it

    where = f"{location.name}/{location.part or ''} {split}"
    try:
        rows, features = _load(location, split)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        check_files("datasets", location.name, str(location.revision))
        hint = f"{location.local_copy} for a local copy"
        allowed = f"check the network, or {hint}"
        if "Dataset scripts" in str(error):
            way = f"fetch its Parquet files (branch refs/convert/parquet), and {location.local_copy}"
            allowed = f"{way}, because scripts are not run"
        if getattr(error, "errno", None) in NOT_ALLOWED:
            allowed = f"set HF_HOME to a folder that you may write to, or {hint}"
        problem = first_line(error)
        if mend := refused_token(error):
            problem, allowed = "the hub refuses your token (401)", mend
        raise UserError(f"task {task}: {where}", f"cannot be loaded ({problem})", allowed) from None
    return RawSplit(where, rows.rename(index="row {}".format), names_in(features, columns.label))


def _load(location: Location, split: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows, and the features of their columns."""
    from datasets import config

    caches = user_path(str(config.HF_DATASETS_CACHE), "set HOME or HF_HOME to a folder").absolute()

    def load(cache: str | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
        rows = _cached(location, split, cache)
        rows = _fetched(location, split, cache) if rows is None else rows
        _check_files(rows.cache_files, location)
        return with_canonical_columns(pd.DataFrame(rows.to_pandas())), rows.features

    try:
        return load()
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
    with _cache_of_links(caches) as links:
        return load(links)


def _cached(location: Location, split: str, cache: str | None) -> "Dataset | None":
    """The split, if the cache has it at this revision. Otherwise `datasets` would first ask the hub, and wait."""
    from datasets import config
    from datasets.exceptions import DatasetsError

    before, config.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE, True
    try:
        return _loaded(location, split, cache)
    except (ConnectionError, ValueError, FileNotFoundError, DatasetsError):
        return None
    finally:
        config.HF_HUB_OFFLINE = before


def _fetched(location: Location, split: str, cache: str | None) -> "Dataset":
    """Print a line, and fetch the split from the hub."""
    from datasets import config

    print(
        f"fetching {location.name} {location.part or ''} {split} from {config.HF_ENDPOINT}", file=sys.stderr, flush=True
    )
    rows = _loaded(location, split, cache)
    keep_listing("datasets", location.name, str(location.revision))
    return rows


def _loaded(location: Location, split: str, cache: str | None) -> "Dataset":
    from datasets import Dataset, disable_progress_bars, enable_progress_bars, load_dataset, logging

    show_progress(enable_progress_bars, disable_progress_bars)
    logging.set_verbosity_error()  # `_check_revision` reports faults of the cache, so its warnings are not needed
    rows = load_dataset(location.name, location.part, split=split, revision=location.revision, cache_dir=cache)
    assert isinstance(rows, Dataset)  # one name of a split gives one data set
    _check_revision(rows.cache_files, location.revision)
    return rows


def _check_revision(files: list[dict[str, str]], revision: str | None) -> None:
    """Check the revision in the cache's folder name. Without the hub, `datasets` takes the newest in its cache."""
    for found in {Path(file["filename"]).parent.name for file in files}:
        if re.fullmatch("[0-9a-f]{40}", found) and found != revision:
            raise ValueError(f"the hub cannot be reached, and the newest revision in the cache is {found}")


def _check_files(files: list[dict[str, str]], location: Location) -> None:
    """Check that the downloaded files, from which `datasets` made `files`, are the hub's files."""
    made = {Path(file["filename"]).parent for file in files}
    check_files("datasets", location.name, str(location.revision), "".join(f" and {folder}" for folder in made))


@contextmanager
def _cache_of_links(cache: Path) -> Generator[str]:
    """Yield a temporary folder of links to the cache of `datasets`, which locks files even to read them."""
    with tempfile.TemporaryDirectory() as copy:
        for folder, _, names in os.walk(cache):
            below = Path(copy, Path(folder).relative_to(cache))
            below.mkdir(exist_ok=True)
            for name in names:
                if not name.endswith(".lock"):
                    (below / name).symlink_to(Path(folder, name))
        yield copy
