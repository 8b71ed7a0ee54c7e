"""Prepared data that someone damaged."""

import shutil
from pathlib import Path

import stages.finetune
from tests.faults.hostile.cases import FINETUNE, bit_flipped, shortened, table, written

# Prepared data: (what is broken, how, expected)
PREPARED = {
    "not prepared": (
        "data that was never prepared",
        shutil.rmtree,
        "data/tiny: has not been prepared; run `dvc repro`",
    ),
    "list": ("a list for task.json", written("task.json", "[]"), "task.json: lacks label_names or metrics"),
    "no labels": ("a task.json without labels", written("task.json", "{}"), "task.json: lacks label_names or metrics"),
    "flipped": ("a bit flipped in train.parquet", bit_flipped("train.parquet", 300), "train.parquet: damaged"),
    "cut": ("a train.parquet cut short", shortened("train.parquet", 900), "train.parquet: damaged"),
    "other columns": (
        "the test rows in the place of the train rows",
        lambda folder: shutil.copy(folder / "test.parquet", folder / "train.parquet"),
        "train.parquet: lacks the columns label; delete it and run `dvc repro`",
    ),
}


@table(PREPARED)
def test_prepared_data(model, refused, case):
    case.damage(Path("data/tiny/splits"))
    refused("data rows", case, stages.finetune.main, *FINETUNE)
