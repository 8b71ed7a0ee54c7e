"""The raters' shares of each label, read from one column of votes or shares per label."""

import numpy as np
import pandas as pd

from src.data.sources.labelled_text import HUMAN_PREFIX
from src.system.errors import UserError

ALLOWED = "allowed: votes or shares, each at least 0 and not all 0 in one row"


def raters_shares(place: str, raw: pd.DataFrame, columns: list[str], label_names: list[str]) -> pd.DataFrame:
    """Columns `human_<label>` with each row's shares, which add up to 1. None if all columns of votes are missing.

    Args:
        place: the source of the rows, for errors.
        raw: the rows, indexed by their places.
        columns: the columns of votes, one per label in the order of `label_names`.

    Raises:
        UserError: some of the columns are missing, or a row's votes are not numbers of at least 0, or all 0.
    """
    missing = [column for column in columns if column not in raw]
    if len(missing) == len(columns):
        return pd.DataFrame(index=raw.index)
    if missing:
        raise UserError(place, f"no column '{missing[0]}' (human)", f"allowed: {', '.join(map(repr, raw.columns))}")
    votes = raw[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    for row, column in np.argwhere(~(np.isfinite(votes) & (votes >= 0))):
        value = raw[columns].iloc[row, column]
        raise UserError(f"{place}, {raw.index[row]}", f"column '{columns[column]}' holds {value!r:.60}", ALLOWED)
    sums = votes.sum(axis=1, keepdims=True)
    for row in np.flatnonzero(sums == 0):
        raise UserError(f"{place}, {raw.index[row]}", "nobody voted", ALLOWED)
    return pd.DataFrame(votes / sums, index=raw.index, columns=[HUMAN_PREFIX + name for name in label_names])
