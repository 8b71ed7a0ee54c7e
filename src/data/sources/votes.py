"""The raters' shares of each label, from columns of votes or shares, one column a label."""

import numpy as np
import pandas as pd

from src.data.sources.labelled_text import HUMAN_PREFIX
from src.system.errors import UserError

ALLOWED = "allowed: votes or shares, numbers from 0 on, not all of them 0 in a row"


def raters_shares(place: str, raw: pd.DataFrame, columns: list[str], label_names: list[str]) -> pd.DataFrame:
    """Columns `human_<label>` with each row's shares, which add up to 1; none where no column of votes is there.

    Args:
        place: where the rows are from, for errors.
        raw: indexed by where each row is.
        columns: of the votes, one per label in their order.

    Raises:
        UserError: only some of the columns are there, or a row's votes are no votes.
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
