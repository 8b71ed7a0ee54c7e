"""From a task's source to its prepared splits; `src.data.prepared` says what the files hold.

The labels of test and also_test have one more column, which only `collect` reads: `cluster` numbers the clusters of
rows that have a text or a document in common. Intervals take these clusters for independent, not their rows.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.labelled_text import CLUSTER, HUMAN_PREFIX, TEXT_NAMES, LabelledText
from src.data.prepared import DATA_FOLDER, LABELS_FOLDER, SPLITS_FOLDER
from src.data.published import is_empty, read_texts
from src.data.source import Source, read_source
from src.data.splits import comparable_texts, share_texts, split_off, subsample, text_clusters
from src.errors import UserError
from src.files import new_folder, user_path, write_json, write_parquet
from src.params import Params

TRANSFER = 3  # its draw, after those of the three splits


def prepare_task(name: str, params: Params, root: Path = DATA_FOLDER) -> dict:
    """Read a task from its source, cut its splits and write them to `root/name`.

    Returns:
        The content of task.json.
    """
    settings, source = params.task(name), read_source(name, params)
    splits, transfer = _cut(name, params, source)
    label_names = source.rows.label_names
    description = {
        "task": name,
        "source": settings.source,
        "licence": source.rows.licence,
        "label_names": label_names,
        "metrics": list(settings.metrics),
        "human_ratings": bool(_human_columns(splits["test"])),
        "splits": {split: _describe(rows, label_names) for split, rows in splits.items()},
        "transfer_rows": len(transfer),
    }
    if settings.drop_labels:
        description["dropped_rows"] = source.dropped
    if empty := _one_text_empty(splits):
        description["one_text_empty"] = empty
    if source.test is not None:
        overlap = _overlap(splits, splits["test"])
        description["test_overlap"] = overlap | {"left_out": source.overlap_left_out}
    if settings.also_test is not None and source.also_test is not None:
        rows = source.also_test.rows
        facts = {"name": settings.also_test.name} | _describe(rows, label_names)
        description["also_test"] = facts | {"overlap": _overlap(splits, rows)}
    with new_folder(root / name) as folder:
        _write_splits(folder, splits, source.also_test)
        write_parquet(folder / SPLITS_FOLDER / "transfer.parquet", transfer[["row_id", *_text_columns(transfer)]])
        write_json(folder / SPLITS_FOLDER / "task.json", description)
    return description


def _cut(name: str, params: Params, source: Source) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The three splits, and the transfer rows."""
    settings, shares = params.task(name), params.splits
    most, rest = settings.max_rows, source.rows.rows
    if source.test is None:
        rest, test = split_off(rest, shares.test, most.test, shares.seed, "test")
    else:
        test = source.test.rows
    train, selection = split_off(rest, shares.selection, most.selection, shares.seed + 1, "selection")
    splits = subsample({"train": train, "selection": selection, "test": test}, most, shares.seed)
    for split, rows in splits.items():
        if len(set(rows["label"])) < len(source.rows.label_names):
            where = f"params.yaml: task_settings.{name}.max_rows.{split}"
            raise UserError(where, f"the {len(rows)} rows of {split} do not hold every label", "allow more rows")
    left = train[~train["row_id"].isin(splits["train"]["row_id"])]
    if settings.transfer_file is not None:
        texts = settings.text or ["text"]
        more = read_texts(user_path(settings.transfer_file), texts, settings.quoting, list(train.columns))
        left = pd.concat([left, more])
    also_tested = [source.also_test.rows] if source.also_test else []
    return splits, _transfer_rows(left, [*splits.values(), *also_tested], most.transfer, shares.seed)


def _overlap(splits: dict[str, pd.DataFrame], tested: pd.DataFrame) -> dict[str, int]:
    """How many rows that are trained or chosen on have a text of those that are tested on."""
    return {split: int(share_texts(splits[split], tested).sum()) for split in ("train", "selection")}


def _one_text_empty(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """How many pairs of each split have one empty text; of splits that have any."""
    counts = {split: int(is_empty(rows[_text_columns(rows)]).any(axis=1).sum()) for split, rows in splits.items()}
    return {split: count for split, count in counts.items() if count}


def _transfer_rows(candidates: pd.DataFrame, splits: list[pd.DataFrame], count: int, seed: int) -> pd.DataFrame:
    """Up to `count` rows, drawn at random, none of whose texts occurs in a split."""
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


def _write_splits(folder: Path, splits: dict[str, pd.DataFrame], also_test: LabelledText | None) -> None:
    texts, seen = _text_columns(splits["train"]), folder / SPLITS_FOLDER
    write_parquet(seen / "train.parquet", splits["train"][["row_id", *texts, "label"]])
    selection = splits["selection"]
    write_parquet(seen / "selection.parquet", selection[["row_id", *texts, "label", *_human_columns(selection)]])
    tested = {"test": splits["test"]} | ({"also_test": also_test.rows} if also_test else {})
    for name, rows in tested.items():
        write_parquet(seen / f"{name}.parquet", rows[["row_id", *texts]])
        labels = rows[["row_id", "label", *_human_columns(rows)]].assign(**{CLUSTER: text_clusters(rows)})
        write_parquet(folder / LABELS_FOLDER / f"{name}.parquet", labels)
