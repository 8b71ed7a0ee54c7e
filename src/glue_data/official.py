"""Official splits of GLUE, read from the hub or from a folder of the user."""

from dataclasses import dataclass

import pandas as pd

from src.data.sources.dataset import Columns, Location, RawSplit, columns_of_task
from src.data.sources.folder import read_folder
from src.data.sources.hub import read_hub
from src.data.sources.labels import check_names, label_numbers
from src.params import Params
from src.system.errors import UserError
from src.system.files import user_path

LOCAL_COPY = "name a folder (make glue-data FROM=FOLDER)"
IDX = "idx"
# Rows of the train split and of the validation split; for MNLI, the matched one.
OFFICIAL_ROWS = {
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "qqp": (363846, 40430),
    "mnli": (392702, 9815),
    "qnli": (104743, 5463),
    "rte": (2490, 277),
    "wnli": (635, 71),
}


@dataclass(frozen=True)
class OfficialSplit:
    """A split: its source `where`, and rows with the columns of texts, `label` (0 to C - 1) and `idx`."""

    where: str
    rows: pd.DataFrame


def read_official(task: str, split: str, params: Params, folder: str | None) -> OfficialSplit:
    """Read a split of a GLUE task, with the columns and labels of `glue-<task>` in params.yaml.

    Args:
        task: the task, such as cola.
        split: the split.
        params: has the columns, the labels, and the hub's revision.
        folder: a folder with a subfolder for each task, with the columns of the hub's data set. None means the hub.

    Raises:
        UserError: the split cannot be found or read, lacks a column, or has a label out of range.
    """
    columns = columns_of_task(params.task(f"glue-{task}"))
    if folder is None:
        location = Location("hub", params.glue.repository, task, params.glue.revision, LOCAL_COPY)
        return _official(read_hub(task, location, columns, split), columns)
    location = Location("folder", str(user_path(folder) / task))
    return _official(read_folder(location, columns, split, [*columns.text, columns.label]), columns)


def _official(raw: RawSplit, columns: Columns) -> OfficialSplit:
    """The columns of the studies' files."""
    check_names(raw, columns.labels)
    for column in (*columns.text, columns.label):
        if column not in raw.table:
            raise UserError(raw.where, f"no column '{column}'", f"allowed: {', '.join(map(repr, raw.table))}")
    named = bool(raw.label_names)
    rows = raw.table[columns.text].assign(
        label=label_numbers(raw.where, raw.table[columns.label], columns.labels, named),
        idx=_idx(raw.table),
    )
    return OfficialSplit(raw.where, rows.reset_index(drop=True))


def _idx(table: pd.DataFrame) -> "pd.Series | range":
    """The column `idx` as whole numbers. If it is missing or holds anything else, the rows are numbered."""
    if IDX in table:
        numbers = pd.to_numeric(table[IDX], errors="coerce")
        if numbers.notna().all() and (numbers % 1 == 0).all():
            return numbers.astype(int)
    return range(len(table))
