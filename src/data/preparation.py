"""Preparation of a task's splits from its source; `src.data.prepared` describes the files.

The labels of test and also_test have one more column, `cluster`, which only `collect` reads. It numbers the clusters of
rows that share a text or a document. Intervals treat these clusters as independent, not their rows.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.data.prepared import DATA_FOLDER, FOLDS, LABELS_FOLDER, SPLITS, SPLITS_FOLDER
from src.data.source import Source, read_source
from src.data.sources.labelled_text import CLUSTER, HUMAN_PREFIX, TEXT_NAMES, LabelledText
from src.data.sources.ready_splits import is_empty, read_texts
from src.data.splits import comparable_texts, fold_numbers, fold_of, share_texts, split_off, subsample, text_clusters
from src.params import PARAMS_FILE, Params, TaskSettings
from src.params.folds import check_folds
from src.system.errors import UserError
from src.system.files import new_folder, user_path, write_json, write_parquet

TRANSFER, ROUND = 3, 4  # numbers of their random draws; the three splits have 0 to 2
Splits = dict[str, pd.DataFrame]  # by name: the three splits, and the rows for transfer


def prepare_task(name: str, params: Params, root: Path = DATA_FOLDER) -> dict:
    """Read a task from its source, cut its splits and write them to `root/name`.

    Returns:
        The content of task.json.
    """
    settings = params.task(name)
    check_folds(PARAMS_FILE, params, name)  # `load_params` checks only the tasks that `tasks` names
    source = read_source(name, params)
    description = {
        "task": name,
        "source": settings.source,
        "licence": source.rows.licence,
        "label_names": source.rows.label_names,
        "metrics": list(settings.metrics),
    }
    if params.folds_of(name) > 1:
        cuts = {f"{seed}/": _cut_fold(name, params, source, seed) for seed in params.seeds_of(name)}
        description |= _facts_of_folds(name, params, source, cuts)
    else:
        cuts = {"": _cut(name, params, source)}
        description |= _facts(name, params, source, cuts[""])
    with new_folder(root / name) as folder:
        for place, splits in cuts.items():
            _write_splits(folder, place, splits, source.also_test)
        write_json(folder / SPLITS_FOLDER / "task.json", description)
    return description


def _facts(name: str, params: Params, source: Source, splits: Splits) -> dict[str, Any]:
    """The entries of task.json on the rows of one cut."""
    settings, label_names = params.task(name), source.rows.label_names
    facts: dict[str, Any] = {
        "human_ratings": bool(_human_columns(splits["test"])),
        "splits": {split: _describe(splits[split], label_names) for split in SPLITS},
        "transfer_rows": len(splits["transfer"]),
    }
    facts |= _odd_rows(settings, source, {split: splits[split] for split in SPLITS})
    if source.test is not None:
        facts["test_overlap"] = _overlap("test", source, splits, splits["test"])
    if settings.also_test is not None and source.also_test is not None:
        rows = source.also_test.rows
        own = {"name": settings.also_test.name} | _describe(rows, label_names)
        facts["also_test"] = own | {"overlap": _overlap("also_test", source, splits, rows)}
    return facts


def _facts_of_folds(name: str, params: Params, source: Source, cuts: dict[str, Splits]) -> dict[str, Any]:
    """The entries of task.json for a task with folds: the splits of each seed, and the facts that all seeds share."""
    rows, label_names = source.rows.rows, source.rows.label_names
    facts = {
        FOLDS: params.folds_of(name),
        "rows": _describe(rows, label_names),
        "human_ratings": bool(_human_columns(rows)),
        "splits": {
            place.rstrip("/"): {split: _describe(splits[split], label_names) for split in SPLITS}
            for place, splits in cuts.items()
        },
        "transfer_rows": min(len(splits["transfer"]) for splits in cuts.values()),
    }
    return facts | _odd_rows(params.task(name), source, {"rows": rows})


def _odd_rows(settings: TaskSettings, source: Source, rows: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The numbers of rows that `drop_labels` removed and of pairs with one empty text, where there are any."""
    dropped = {"dropped_rows": source.dropped} if settings.drop_labels else {}
    empty = _one_text_empty(rows)
    return dropped | ({"one_text_empty": empty} if empty else {})


def _cut(name: str, params: Params, source: Source) -> Splits:
    """The single cut of a task without folds. Its test rows are the data set's own test split, if it has one."""
    shares, most, rows = params.splits, params.task(name).max_rows, source.rows.rows
    if source.test is not None:
        return _cut_rest(name, params, source, rows, source.test.rows)
    cut = split_off(rows, shares.test, most.test, shares.seed, "test", source.rows.label_names)
    return _cut_rest(name, params, source, *cut)


def _cut_fold(name: str, params: Params, source: Source, seed: int) -> Splits:
    """The cut of one seed of a task with folds: the test rows are the seed's fold."""
    rows, folds, names = source.rows.rows, params.folds_of(name), source.rows.label_names
    number, fold = fold_of(seed, folds)
    tested = fold_numbers(rows, folds, np.random.default_rng([params.splits.seed, ROUND, number])) == fold
    if absent := sorted({*range(len(names))} - {*rows["label"][tested]}):
        problem = f"fold {fold} of the {folds} of task '{name}' has no row of label '{names[absent[0]]}'"
        allowed = "set fewer folds: each needs its own text or document of every label"
        raise UserError("params.yaml: splits.folds", problem, allowed)
    return _cut_rest(name, params, source, rows[~tested], rows[tested])


def _cut_rest(name: str, params: Params, source: Source, rest: pd.DataFrame, test: pd.DataFrame) -> Splits:
    """All splits and transfer rows of a cut, from its test rows and the `rest` of the rows."""
    settings, shares, names = params.task(name), params.splits, source.rows.label_names
    most = settings.max_rows
    train, selection = split_off(rest, shares.selection, most.selection, shares.seed + 1, "selection", names)
    splits = subsample({"train": train, "selection": selection, "test": test}, most, shares.seed)
    for split, rows in splits.items():
        if len(set(rows["label"])) < len(names):
            where = f"params.yaml: task_settings.{name}.max_rows.{split}"
            raise UserError(where, f"the {len(rows)} rows of {split} do not hold every label", "allow more rows")
    left = _with_transfer_file(settings, train[~train["row_id"].isin(splits["train"]["row_id"])])
    also_tested = [source.also_test.rows] if source.also_test else []
    transfer = _transfer_rows(left, [*splits.values(), *also_tested], most.transfer, shares.seed)
    if most.transfer and transfer.empty:
        where = f"params.yaml: task_settings.{name}.max_rows.transfer"
        allowed = "set max_rows.train below the number of rows, give a transfer_file, or set transfer to 0"
        raise UserError(where, "no row is left whose text is in no split", allowed)
    return splits | {"transfer": transfer}


def _with_transfer_file(settings: TaskSettings, left: pd.DataFrame) -> pd.DataFrame:
    """The rows that train leaves, followed by those of the task's transfer file."""
    if settings.transfer_file is None:
        return left
    texts = settings.text or ["text"]
    more = read_texts(user_path(settings.transfer_file), texts, settings.quoting, list(left.columns))
    return pd.concat([left, more])


def _overlap(test: str, source: Source, splits: Splits, tested: pd.DataFrame) -> dict[str, int]:
    """The number of train and selection rows with the text of a tested row, and of such rows that were left out."""
    counts = {split: int(share_texts(splits[split], tested).sum()) for split in ("train", "selection")}
    return counts | {"left_out": source.overlap_left_out.get(test, 0)}


def _one_text_empty(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """The number of pairs with one empty text, for each split that has such pairs."""
    counts = {split: int(is_empty(rows[_text_columns(rows)]).any(axis=1).sum()) for split, rows in splits.items()}
    return {split: count for split, count in counts.items() if count}


def _transfer_rows(candidates: pd.DataFrame, splits: list[pd.DataFrame], count: int, seed: int) -> pd.DataFrame:
    """Up to `count` rows, drawn at random from those whose texts occur in no split."""
    repeated = comparable_texts(candidates).duplicated().to_numpy()
    fresh = candidates[~share_texts(candidates, pd.concat(splits)) & ~repeated]
    return fresh.iloc[np.random.default_rng([seed, TRANSFER]).permutation(len(fresh))[:count]]


def _text_columns(rows: pd.DataFrame) -> list[str]:
    return [column for column in TEXT_NAMES if column in rows]


def _describe(rows: pd.DataFrame, label_names: list[str]) -> dict:
    counts = np.bincount(rows["label"], minlength=len(label_names))
    digest = hashlib.sha256()
    for row in rows.itertuples(index=False):
        digest.update("\x1f".join(map(str, row)).encode("utf-8") + b"\n")
    return {
        "rows": len(rows),
        "labels": dict(zip(label_names, counts.tolist(), strict=True)),
        "sha256": digest.hexdigest(),
    }


def _human_columns(rows: pd.DataFrame) -> list[str]:
    return [column for column in rows if column.startswith(HUMAN_PREFIX)]


def _write_splits(folder: Path, place: str, splits: Splits, also_test: LabelledText | None) -> None:
    """Write a cut. `place` is its folder below the folders of splits and labels; empty without folds."""
    texts, seen = _text_columns(splits["train"]), folder / SPLITS_FOLDER / place
    write_parquet(seen / "train.parquet", splits["train"][["row_id", *texts, "label"]])
    selection = splits["selection"]
    write_parquet(seen / "selection.parquet", selection[["row_id", *texts, "label", *_human_columns(selection)]])
    tested = {"test": splits["test"]} | ({"also_test": also_test.rows} if also_test else {})
    for name, rows in tested.items():
        write_parquet(seen / f"{name}.parquet", rows[["row_id", *texts]])
        labels = rows[["row_id", "label", *_human_columns(rows)]].assign(**{CLUSTER: text_clusters(rows)})
        write_parquet(folder / LABELS_FOLDER / place / f"{name}.parquet", labels)
    write_parquet(seen / "transfer.parquet", splits["transfer"][["row_id", *_text_columns(splits["transfer"])]])
