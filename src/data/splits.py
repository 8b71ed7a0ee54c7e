"""Cutting rows into splits or folds: seeded, stratified by label, and never through a group.

`selection` is cut from train. `test` is the data set's own labelled split, if it has one (docs/protocol.md). Rows with
equal texts, in any Unicode form, and the sentences of one document always stay together.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from src.data.sources.labelled_text import TEXT_NAMES
from src.params import MaxRows
from src.system.errors import UserError
from src.system.unicode import canonical


def linked_groups(rows: pd.DataFrame) -> np.ndarray:
    """A group number per row. Rows with an equal `group` or equal texts are linked, and linked rows form a group.

    Returns:
        (N,) integers.
    """
    return _linked(_groups(rows), "text " + comparable_texts(rows))


def text_clusters(rows: pd.DataFrame) -> np.ndarray:
    """A cluster number per row. Rows with an equal `group` or a common text are linked, and linked rows form a cluster.

    Unlike `linked_groups`, it compares each text of a pair by itself. An empty text links no rows.

    Returns:
        (N,) integers, in the order in which clusters first occur.
    """
    texts = [rows[name].map(canonical) for name in TEXT_NAMES if name in rows]
    return _linked(_groups(rows), *("text " + own.where(own.str.strip() != "") for own in texts))


def _groups(rows: pd.DataFrame) -> pd.Series:
    return "group " + rows["group"].astype(str)


def _linked(*keys: pd.Series) -> np.ndarray:
    """Numbers (N,) that are equal for rows with a common key in any of the columns (N,) of keys. NaN is not a key."""
    count = len(keys[0])
    edges = pd.concat([column.set_axis(range(count)) for column in keys]).dropna()
    # Rows and keys are the nodes of a graph, so linked rows are one component.
    numbers, names = pd.factorize(edges)
    nodes = count + len(names)
    graph = coo_array((np.ones(len(edges)), (edges.index, count + numbers)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:count]


def share_texts(rows: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Whether one of the `others` has the same text, or pair of texts, as each row.

    Returns:
        (N,) booleans.
    """
    return comparable_texts(rows).isin(set(comparable_texts(others))).to_numpy()


def comparable_texts(rows: pd.DataFrame) -> pd.Series:
    """Each row's text, or its pair joined into one, in one Unicode form. Models read the original texts."""
    joined = rows["text_a"] if "text_b" not in rows else rows["text_a"] + "\x1f" + rows["text_b"]
    return joined.map(canonical)


def stratified_sample(rows: pd.DataFrame, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw about `count` rows in whole groups, with the label shares of all rows.

    Args:
        rows: the column label, and the columns that `linked_groups` reads.
        count: the number of rows to draw. If whole groups do not fit, the function draws a few less.

    Returns:
        (N,) booleans, true for the drawn rows.
    """
    numbers, groups = _shuffled_groups(rows, generator)
    drawn: list[int] = []
    for _, stratum in groups.groupby("label"):
        drawn += _fill(stratum["size"], round(stratum["size"].sum() * count / len(rows)))
    return np.isin(numbers, drawn)


def fold_of(seed: int, folds: int) -> tuple[int, int]:
    """The round of a seed in cross-validation, and the fold on which the seed is tested."""
    return divmod(seed, folds)


def fold_numbers(rows: pd.DataFrame, folds: int, generator: np.random.Generator) -> np.ndarray:
    """Cut rows into folds of about equal size in whole groups, with the label shares of all rows in each.

    The groups of a label, large ones first, go one by one to the fold with the fewest rows of that label. On a tie, the
    fold with the fewest rows gets the group.

    Args:
        rows: the column label, and the columns that `linked_groups` reads.

    Returns:
        (N,) integers from 0 to `folds` - 1.
    """
    numbers, groups = _shuffled_groups(rows, generator)
    of_groups, sizes = np.zeros(len(groups), dtype=int), np.zeros(folds, dtype=int)
    for _, stratum in groups.groupby("label"):
        own = np.zeros(folds, dtype=int)
        for group, size in stratum["size"].sort_values(ascending=False, kind="stable").items():
            fold = np.lexsort([sizes, own])[0]
            of_groups[group] = fold
            own[fold] += size
            sizes[fold] += size
    return of_groups[numbers]


def _shuffled_groups(rows: pd.DataFrame, generator: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """The group of each row (N,), and a shuffled table with the size and most frequent label of each group."""
    numbers = linked_groups(rows)
    frame = pd.DataFrame({"group": numbers, "label": rows["label"].to_numpy()})
    counts = frame.value_counts(["group", "label"]).reset_index().sort_values(["group", "count"])
    groups = counts.groupby("group").agg(size=("count", "sum"), label=("label", "last"))
    return numbers, groups.iloc[generator.permutation(len(groups))]


def _fill(sizes: pd.Series, room: int) -> list[int]:
    """Take groups in their order, and skip those that no longer fit."""
    taken: list[int] = []
    for group, size in zip(sizes.index.tolist(), sizes.tolist(), strict=True):
        if size <= room:
            taken.append(group)
            room -= size
    return taken


def split_off(
    rows: pd.DataFrame, share: float, most: int | None, seed: int, name: str, label_names: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into (the rest, a `share` of them). The share has at most `most` rows.

    Errors use `name`, the split that the share becomes, and `label_names`.

    Raises:
        UserError: one side would lack rows of a label.
    """
    count = round(len(rows) * share) if most is None else min(round(len(rows) * share), most)
    drawn = stratified_sample(rows, count, np.random.default_rng(seed))
    rest, taken = rows[~drawn], rows[drawn]
    for part in (rest, taken):
        absent = rows["label"][~rows["label"].isin(part["label"])].value_counts()
        if not absent.empty:
            rarest = f"a row of label '{label_names[absent.idxmin()]}' ({absent.min()} in all)"
            problem = f"{count} of {len(rows)} rows leave a split without {rarest}"
            raise UserError(f"params.yaml: splits.{name}, max_rows.{name}", problem, _way_to_cut(rows, label_names))
    return rest, taken


def _way_to_cut(rows: pd.DataFrame, label_names: list[str]) -> str:
    """Advice with which every label would be on both sides of a cut."""
    groups = pd.Series(linked_groups(rows)).groupby(np.array(label_names)[rows["label"]]).nunique()
    if groups.min() > 1:
        return "give each split more rows"
    return f"use data with more than one text or document of label '{groups.idxmin()}'"


def subsample(splits: dict[str, pd.DataFrame], max_rows: MaxRows, seed: int) -> dict[str, pd.DataFrame]:
    """Shuffle each split, and reduce it to the size in `max_rows` with the label shares kept."""
    capped = {}
    for number, (name, rows) in enumerate(splits.items()):
        generator = np.random.default_rng([seed, number])
        limit = getattr(max_rows, name)
        if limit is not None and limit < len(rows):
            rows = rows[stratified_sample(rows, limit, generator)]
        capped[name] = rows.iloc[generator.permutation(len(rows))].reset_index(drop=True)
    return capped
