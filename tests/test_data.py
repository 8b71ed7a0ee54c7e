"""The real VADER archive, local files in the hub's format, and the rules for cutting splits."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from src.data.preparation import prepare_task
from src.data.prepared import load_task, load_test_labels
from src.data.published import read_split
from src.data.splits import cap, cut, linked_groups
from src.data.vader import read_vader
from src.errors import UserError
from src.params import MaxRows, Params, TaskSettings
from tests.conftest import labelled_texts, params_content

# Rows in the archive (METHOD section 7) less ties; groups are documents where the ids name them.
VADER = {
    "movie": (10605, 10577, 2, 10577),
    "tweets": (4200, 4138, 3, 4138),
    "nyt": (5190, 4999, 3, 498),
    "amazon": (3708, 3662, 3, 300),
}


@pytest.mark.parametrize("part", VADER)
def test_vader_has_its_rows_and_ratings(part):
    rows_in_archive, rows, classes, groups = VADER[part]
    data = read_vader(part)
    assert len(data.rows) == rows < rows_in_archive
    assert len(data.label_names) == classes
    assert data.rows["group"].nunique() == groups
    shares = data.rows[data.human_columns].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == data.rows["label"]).all()
    assert not data.rows["text_a"].str.contains("[\r\n\ufeff]").any()


def test_vader_labels_follow_from_the_ratings():
    """Movie snippet 3 has the ratings -1 0 -1 0 -1 -1 -1 -1 0 -2 1 1 -1 -1 -1: ten below zero, two above."""
    movie = read_vader("movie")
    row = movie.rows.set_index("row_id").loc["3"]
    assert row["label"] == 0
    assert row["human_negative"] == pytest.approx(10 / 12)


def table(groups, labels, texts=None) -> pd.DataFrame:
    texts = texts or [f"text {number}" for number in range(len(labels))]
    return pd.DataFrame(
        {"text_a": texts, "label": labels, "group": groups, "row_id": list(map(str, range(len(labels))))}
    )


def test_links_by_group_and_by_text_are_followed():
    rows = table(["a", "a", "b", "c", "d"], [0] * 5, ["one", "two", "two", "three", "four"])
    groups = linked_groups(rows)
    assert groups[0] == groups[1] == groups[2]
    assert len({groups[0], groups[3], groups[4]}) == 3


@pytest.mark.parametrize("part", ["nyt", "amazon"])
def test_no_document_and_no_text_is_on_both_sides(part):
    rows = read_vader(part).rows
    rest, taken = cut(rows, 0.2, None, 0, "test")
    assert not set(rest["group"]) & set(taken["group"])
    assert not set(rest["text_a"]) & set(taken["text_a"])
    assert len(rest) + len(taken) == len(rows)
    assert len(taken) == pytest.approx(0.2 * len(rows), rel=0.05)
    assert taken["label"].value_counts(normalize=True).to_dict() == pytest.approx(
        rows["label"].value_counts(normalize=True).to_dict(), abs=0.03
    )


def test_cuts_are_stratified_and_seeded():
    rows = table(range(1000), [0] * 700 + [1] * 300)
    _, taken = cut(rows, 0.1, None, 0, "test")
    assert taken["label"].value_counts().to_dict() == {0: 70, 1: 30}
    assert cut(rows, 0.1, None, 0, "test")[1].equals(taken)
    assert not cut(rows, 0.1, None, 1, "test")[1].equals(taken)


def test_a_cut_takes_no_more_than_the_split_may_have():
    """What selection may not have stays in train."""
    rest, taken = cut(table(range(1000), [0] * 700 + [1] * 300), 0.5, 50, 0, "selection")
    assert (len(rest), len(taken)) == (950, 50)


def test_a_cut_without_some_label_is_refused():
    with pytest.raises(UserError, match=r"splits\.test, max_rows\.test: 2 of 20 rows leave a split without some label"):
        cut(table(range(20), [0] * 18 + [1] * 2), 0.1, None, 0, "test")


def test_caps_keep_the_label_shares_and_shuffle():
    rows = table(range(1000), [0] * 700 + [1] * 300)
    capped = cap({"train": rows}, MaxRows(train=100), 0)["train"]
    assert capped["label"].value_counts().to_dict() == {0: 70, 1: 30}
    assert capped["label"].head(70).eq(0).sum() + 10 > 50
    assert capped["label"].tolist() != sorted(capped["label"])


def with_folder(folder, **settings) -> Params:
    content = params_content()
    content["task_settings"]["tiny"] = {
        "source": "folder",
        "path": str(folder),
        "text": ["sentence"],
        "labels": ["negative", "positive"],
        "metrics": ["accuracy"],
    } | settings
    return Params.model_validate(content)


def test_test_labels_lie_apart_from_what_training_reads(tiny_data, tmp_path):
    description = prepare_task("tiny", with_folder(tiny_data), tmp_path)
    task, labels = load_task("tiny", tmp_path), load_test_labels("tiny", tmp_path)
    assert task.test.labels is None
    assert len(task.test) == 60
    assert task.test.row_ids == labels["row_id"].tolist()
    assert "label" not in pd.read_parquet(tmp_path / "tiny" / "splits" / "test.parquet")
    assert {split: facts["rows"] for split, facts in description["splits"].items()} == {
        "train": 144,
        "selection": 16,
        "test": 60,
    }
    lines = (tiny_data / "validation.jsonl").read_text().splitlines()
    for row_id, text, label in zip(task.test.row_ids, task.test.texts, labels["label"], strict=True):
        source = json.loads(lines[int(row_id.removeprefix("validation_"))])
        assert (source["sentence"], source["label"]) == (text[0], label)


def test_transfer_rows_are_what_train_leaves_without_labels(tiny_data, tmp_path):
    """They come from the pool of train and a file, and none of their texts is in a split."""
    words = pd.read_json(tiny_data / "validation.jsonl", lines=True).head(5)
    more = [*words["sentence"], "a text of its own", "a text of its own"]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps({"sentence": text}) + "\n" for text in more))
    params = with_folder(
        tiny_data, max_rows={"train": 50, "transfer": 1000}, transfer_file=str(tmp_path / "more.jsonl")
    )
    description = prepare_task("tiny", params, tmp_path)
    task = load_task("tiny", tmp_path)
    assert task.transfer.labels is None
    assert len(task.transfer) == description["transfer_rows"] == len(set(task.transfer.texts))
    splits = {text for split in (task.train, task.selection, task.test) for text in split.texts}
    assert not splits & set(task.transfer.texts)
    assert ("a text of its own",) in task.transfer.texts
    assert len(task.train) == 50
    assert 80 < len(task.transfer) <= 144 - 50 + 1


def test_without_a_count_there_are_no_transfer_rows(tiny_data, tmp_path):
    prepare_task("tiny", with_folder(tiny_data, max_rows={"train": 50}), tmp_path)
    assert len(load_task("tiny", tmp_path).transfer) == 0


def test_preparing_twice_gives_the_same_hashes(tiny_data, tmp_path):
    first = prepare_task("tiny", with_folder(tiny_data), tmp_path)
    assert prepare_task("tiny", with_folder(tiny_data), tmp_path) == first


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet", "csv", "tsv"])
def test_every_local_format_gives_the_same_rows(tmp_path, suffix):
    rows = pd.DataFrame(
        {"premise": ['He said "no".', "NA", "12"], "hypothesis": ["a, b", "null", "3.50"], "label": [0, 2, 1]}
    )
    path = tmp_path / f"train.{suffix}"
    if suffix == "parquet":
        rows.to_parquet(path)
    elif suffix.startswith("jsonl"):
        opener = gzip.open if suffix.endswith("gz") else open
        with opener(path, "wt") as file:
            rows.to_json(file, orient="records", lines=True)
    elif suffix == "csv":
        rows.to_csv(path, index=False)
    else:
        path.write_text("\n".join("\t".join(map(str, row)) for row in [rows.columns, *rows.to_numpy()]) + "\n")
    settings = TaskSettings(
        source="folder",
        path=str(tmp_path),
        text=["premise", "hypothesis"],
        labels=["a", "b", "c"],
        metrics=["accuracy"],
    )
    read = read_split("mine", settings, None, "train").rows
    assert read["text_a"].tolist() == rows["premise"].tolist()
    assert read["text_b"].tolist() == rows["hypothesis"].tolist()
    assert read["label"].tolist() == [0, 2, 1]


def test_one_text_of_a_pair_may_be_empty(tmp_path):
    """QQP's train split has two such rows."""
    rows = [{"a": "why", "b": "", "label": 0}, {"a": " ", "b": "how", "label": 1}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = TaskSettings(
        source="folder", path=str(tmp_path), text=["a", "b"], labels=["no", "yes"], metrics=["accuracy"]
    )
    assert len(read_split("pairs", settings, None, "train").rows) == 2
    (tmp_path / "train.jsonl").write_text(json.dumps({"a": "", "b": " ", "label": 0}))
    with pytest.raises(UserError, match="row 0: column 'a' holds no text"):
        read_split("pairs", settings, None, "train")


def hub_data_set(folder, names: list[str]) -> dict:
    """A data set in a local folder, which the hub's loader reads as it reads one on the hub; the task's settings."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"sentence": Value("string"), "label": ClassLabel(names=names)})
    for split in ("train", "validation"):
        texts = labelled_texts(40, seed=len(split))
        columns = {key: [row[key] for row in texts] for key in ("sentence", "label")}
        Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}-00000.parquet")
    return {"source": "hub", "path": str(folder), "revision": "0" * 40}


def test_a_data_set_is_read_by_the_hub_loader(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    params = with_folder(tmp_path, **hub_data_set(tmp_path / "set", ["Negative", "Positive"]))
    data = read_split("tiny", params.task("tiny"), params.glue, "train")
    assert data.rows["label"].tolist() == [row["label"] for row in labelled_texts(40, seed=5)]


def test_labels_may_be_names(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"sentence": "a", "label": "positive"}\n')
    params = with_folder(tmp_path)
    assert read_split("tiny", params.task("tiny"), params.glue, "train").rows["label"].tolist() == [1]


def test_glue_reads_a_local_folder_by_part(tiny_data):
    content = params_content()
    content["glue"]["folder"] = str(tiny_data.parent)
    content["task_settings"]["glue-sst2"]["part"] = tiny_data.name
    params = Params.model_validate(content)
    assert len(read_split("glue-sst2", params.task("glue-sst2"), params.glue, "train").rows) == 160
