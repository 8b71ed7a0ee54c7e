"""The real VADER archive, local files in the hub's format, and the rules for cutting splits."""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.data.preparation import prepare_task
from src.data.prepared import SPLITS, load_task, load_test_labels
from src.data.sources.dataset import columns_of_task, location_of_task
from src.data.sources.labelled_text import LabelledText
from src.data.sources.ready_splits import read_split
from src.data.sources.vader import read_vader
from src.data.splits import linked_groups, share_texts, split_off, subsample
from src.params import Glue, MaxRows, Params, TaskSettings
from src.system.errors import UserError
from src.system.files import user_path
from tests.conftest import REPOSITORY, labelled_texts, params_content
from tests.support.repository import may_only_be_read, without_privileges

# Rows in the archive less ties; groups are documents where the ids name them.
VADER = {
    "movie": (10605, 10577, 2, 10577),
    "tweets": (4200, 4138, 3, 4138),
    "nyt": (5190, 4999, 3, 498),
    "amazon": (3708, 3662, 3, 300),
}
NAMES = ["bad", "good", "mixed"]


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


def read_task(name: str, settings: TaskSettings, glue: Glue | None, split: str) -> LabelledText:
    return read_split(name, location_of_task(settings, glue), columns_of_task(settings), split)


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
    rest, taken = split_off(rows, 0.2, None, 0, "test", NAMES)
    assert not set(rest["group"]) & set(taken["group"])
    assert not set(rest["text_a"]) & set(taken["text_a"])
    assert len(rest) + len(taken) == len(rows)
    assert len(taken) == pytest.approx(0.2 * len(rows), rel=0.05)
    assert taken["label"].value_counts(normalize=True).to_dict() == pytest.approx(
        rows["label"].value_counts(normalize=True).to_dict(), abs=0.03
    )


def test_cuts_are_stratified_and_seeded():
    rows = table(range(1000), [0] * 700 + [1] * 300)
    _, taken = split_off(rows, 0.1, None, 0, "test", NAMES)
    assert taken["label"].value_counts().to_dict() == {0: 70, 1: 30}
    assert split_off(rows, 0.1, None, 0, "test", NAMES)[1].equals(taken)
    assert not split_off(rows, 0.1, None, 1, "test", NAMES)[1].equals(taken)


def test_a_cut_takes_no_more_than_the_split_may_have():
    """What selection may not have stays in train."""
    rest, taken = split_off(table(range(1000), [0] * 700 + [1] * 300), 0.5, 50, 0, "selection", NAMES)
    assert (len(rest), len(taken)) == (950, 50)


def test_a_cut_without_some_label_is_refused():
    expected = r"splits\.test, max_rows\.test: 2 of 20 rows leave a split without a row of label 'good' \(2 in all\)"
    with pytest.raises(UserError, match=expected):
        split_off(table(range(20), [0] * 18 + [1] * 2), 0.1, None, 0, "test", NAMES)


def test_caps_keep_the_label_shares_and_shuffle():
    rows = table(range(1000), [0] * 700 + [1] * 300)
    capped = subsample({"train": rows}, MaxRows(train=100), 0)["train"]
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
    assert vars(task.test).keys() == {"row_ids", "texts"}
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
    assert vars(task.transfer).keys() == {"row_ids", "texts"}
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
    read = read_task("mine", settings, None, "train").rows
    assert read["text_a"].tolist() == rows["premise"].tolist()
    assert read["text_b"].tolist() == rows["hypothesis"].tolist()
    assert read["label"].tolist() == [0, 2, 1]


def read_labels(folder, name: str, content: str | pd.DataFrame, **settings) -> list[int]:
    """The numbers of the labels of one file of train rows."""
    return read_train(folder, name, content, **settings)["label"].tolist()


def read_train(folder, name: str, content: str | pd.DataFrame, **settings) -> pd.DataFrame:
    if isinstance(content, pd.DataFrame):
        content.to_parquet(folder / name)
    else:
        (folder / name).write_bytes(content.encode())
    params = with_folder(folder, **settings)
    return read_task("tiny", params.task("tiny"), params.glue, "train").rows


def column(*labels: object, suffix: str) -> str | pd.DataFrame:
    """Rows with these labels, in one of the local formats."""
    rows = pd.DataFrame({"sentence": "a", "label": pd.Series(labels, dtype=object)})
    if suffix == "parquet":
        return pd.DataFrame({"sentence": "a", "label": labels})
    if suffix == "jsonl":
        return rows.to_json(orient="records", lines=True)
    return rows.to_csv(index=False, sep="\t" if suffix == "tsv" else ",")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv", "tsv"])
@pytest.mark.parametrize(
    ("names", "labels", "numbers"),
    [
        (["1", "0"], ["1", "0", "1"], [0, 1, 0]),
        (["1", "2", "3", "4", "5"], ["1", "2", "3", "4"], [0, 1, 2, 3]),
        (["-1", "1"], ["-1", "1"], [0, 1]),
        (["01", "02"], ["02", "01"], [1, 0]),
        (["False", "True"], ["True", "False"], [1, 0]),
        (["False", "True"], [True, False], [1, 0]),
        (["nan", "NA", "null"], ["NA", "null", "nan"], [1, 2, 0]),
    ],
)
def test_names_are_names_in_every_format(tmp_path, suffix, names, labels, numbers):
    """Whatever else they look like."""
    content = column(*labels, suffix=suffix)
    assert read_labels(tmp_path, f"train.{suffix}", content, labels=names) == numbers


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv", "tsv"])
@pytest.mark.parametrize(
    ("names", "labels", "numbers"),
    [
        (["negative", "positive"], [1, 0], [1, 0]),
        (["negative", "positive"], [1.0, 0.0], [1, 0]),
        (["1", "2", "3", "4", "5"], [1, 2, 4], [0, 1, 3]),
        (["1", "2", "3", "4", "5"], [1.0, 2.0, 4.0], [0, 1, 3]),
        (["0", "1"], [1, 0], [1, 0]),
    ],
)
def test_a_number_is_a_place_unless_the_names_are_numbers(tmp_path, suffix, names, labels, numbers):
    content = column(*labels, suffix=suffix)
    assert read_labels(tmp_path, f"train.{suffix}", content, labels=names) == numbers


@pytest.mark.parametrize(
    "labels",
    [
        pd.array([1, 0], dtype="Int64"),
        pd.Categorical(["positive", "negative"]),
        pd.Categorical([1, 0]),
        np.array([1, 0], np.uint8),
        pd.array(["positive", "negative"], dtype="string"),
    ],
    ids=["Int64", "categories", "categories of integers", "uint8", "string"],
)
def test_labels_of_every_type_of_parquet_column(tmp_path, labels):
    rows = pd.DataFrame({"sentence": pd.Categorical(["a", "b"]), "label": labels}, index=[7, 7])
    assert read_labels(tmp_path, "train.parquet", rows) == [1, 0]


def test_rows_with_dropped_labels_are_left_out(tmp_path):
    """-1 and "-" are how SNLI and its like mark rows without a consensus; None stands for no label at all."""
    labels = [0, -1, 1, None, "-"]
    content = "".join(json.dumps({"sentence": "a", "label": label}) + "\n" for label in labels)
    rows = read_train(tmp_path, "train.jsonl", content, drop_labels=[-1, None, "-"])
    assert rows["row_id"].tolist() == ["train_0", "train_2"]
    assert rows["label"].tolist() == [0, 1]
    content = "sentence,label\na,0\nb,-1\nc,1\nd,\n"
    (tmp_path / "train.jsonl").unlink()
    assert read_labels(tmp_path, "train.csv", content, drop_labels=[-1, None]) == [0, 1]


@pytest.mark.parametrize(
    ("suffix", "names", "labels", "dropped"),
    [
        ("csv", ["1.0", "2.0"], [2.0, 1.0, 3.0], "3.0"),
        ("parquet", ["1.0", "2.0"], [2.0, 1.0, 3.0], "3.0"),
        ("csv", ["1", "2"], [2, 1, "1.50"], "1.50"),
        ("csv", ["yes", "no"], ["no", "yes", "2.0"], "2.0"),
        ("jsonl", ["yes", "no"], ["no", "yes", True], "True"),
    ],
)
def test_labels_to_drop_are_written_as_in_the_file(tmp_path, suffix, names, labels, dropped):
    content = column(*labels, suffix=suffix)
    assert read_labels(tmp_path, f"train.{suffix}", content, labels=names, drop_labels=[dropped]) == [1, 0]


def test_columns_without_name_and_values_are_left_out(tmp_path):
    """As Excel ends its lines."""
    assert read_labels(tmp_path, "train.csv", "sentence,label,,\na,1,,\nb,0,,\n") == [1, 0]


SAID = ['He said "no" to it', "plain"]


def tsv(texts: list[str], **how) -> str:
    return pd.DataFrame({"sentence": texts, "label": [0, 1]}).to_csv(sep="\t", index=False, **how)


@pytest.mark.parametrize(
    ("content", "settings", "texts"),
    [
        (tsv(SAID), {"quoting": True}, SAID),
        (tsv(SAID), {"quoting": False}, ['"He said ""no"" to it"', "plain"]),
        (tsv([SAID[0], "a\tb"]), {}, [SAID[0], "a\tb"]),
        (tsv([SAID[0], "a\nb"]), {}, [SAID[0], "a\nb"]),
        (tsv(SAID, quoting=csv.QUOTE_NONNUMERIC), {}, SAID),
        ('sentence\tlabel\nHe said "no" to it\t0\n"a"\t1\n', {}, ['He said "no" to it', '"a"']),
        ('sentence\tlabel\n"a" b\t0\n"c""d"\t1\n', {}, ['"a" b', '"c""d"']),
        ('sentence\tlabel\n"open\t0\nb\t1\n', {}, ['"open', "b"]),
    ],
    ids=["told", "told not", "tab within", "line break within", "header", "stray quotes", "text after", "left open"],
)
def test_quotes_of_tsv_files(tmp_path, content, settings, texts):
    """pandas and R enclose fields in quotes; GLUE's own files hold quotes as they come."""
    assert read_train(tmp_path, "train.tsv", content, **settings)["text_a"].tolist() == texts


def test_a_csv_file_may_be_without_quoting(tmp_path):
    content = 'sentence,label\n"a" and "b",1\n'
    rows = read_train(tmp_path, "train.csv", content, quoting=False)
    assert rows["text_a"].tolist() == ['"a" and "b"']


def with_overlap(folder) -> None:
    """Of 160 train rows, 50 with a text of the 60 in test, as a list of them."""
    train, test = ((folder / f"{split}.jsonl").read_text().splitlines() for split in ("train", "validation"))
    (folder / "train.jsonl").write_text("\n".join(train[:110] + test[:50]) + "\n")


def test_rows_with_a_text_of_test_are_counted(tiny_data, tmp_path):
    with_overlap(tiny_data)
    description = prepare_task("tiny", with_folder(tiny_data), tmp_path)
    task = load_task("tiny", tmp_path)
    shared = {split: sum(text in task.test.texts for text in task.splits[split].texts) for split in SPLITS}
    assert description["test_overlap"] == {"train": 46, "selection": 4, "left_out": 0}
    assert (shared["train"], shared["selection"]) == (46, 4)


def test_rows_with_a_text_of_test_can_be_left_out(tiny_data, tmp_path):
    with_overlap(tiny_data)
    description = prepare_task("tiny", with_folder(tiny_data, test_overlap="drop"), tmp_path)
    task = load_task("tiny", tmp_path)
    assert description["test_overlap"] == {"train": 0, "selection": 0, "left_out": 50}
    assert not set(task.train.texts + task.selection.texts) & set(task.test.texts)
    assert len(task.train) + len(task.selection) == 110
    assert len(task.test) == 60


def test_pairs_overlap_where_both_texts_are_equal():
    pairs = table(range(3), [0, 0, 1], ["one", "one", "two"]).assign(text_b=["x", "y", "x"])
    assert share_texts(pairs, pairs.iloc[[1]]).tolist() == [False, True, False]


def test_where_test_is_cut_from_train_there_is_nothing_to_say(tiny_data, tmp_path):
    """Equal texts stay on one side of a cut, and no other key comes into task.json."""
    description = prepare_task("tiny", with_folder(tiny_data, test_split=None), tmp_path)
    assert not {"test_overlap", "dropped_rows"} & description.keys()


def test_the_number_of_dropped_rows_is_kept(tiny_data, tmp_path):
    for split, rows in (("train", 7), ("validation", 3)):
        with (tiny_data / f"{split}.jsonl").open("a") as file:
            file.write('{"sentence": "a", "label": -1}\n' * rows)
    description = prepare_task("tiny", with_folder(tiny_data, drop_labels=[-1]), tmp_path)
    assert description["dropped_rows"] == {"train": 7, "test": 3}
    assert len(load_task("tiny", tmp_path).test) == 60


def test_paths_mean_the_same_in_copies_of_the_repository(tmp_path, monkeypatch):
    """DVC's queued experiments, and units, run below .dvc."""
    copy = tmp_path / "repository/.dvc/tmp/units/tiny-0"
    copy.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repository")
    assert user_path("../glue") == Path("../glue")
    monkeypatch.chdir(copy)
    assert user_path("../glue") == tmp_path / "repository/../glue"
    assert user_path("/glue") == Path("/glue")


def test_paths_may_begin_at_the_home_folder(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_data.parent))
    monkeypatch.chdir(tmp_path)
    (tiny_data.parent / "more.jsonl").write_text('{"sentence": "a text of its own"}\n')
    settings = {"max_rows": {"train": 50, "transfer": 1000}, "transfer_file": "~/more.jsonl"}
    description = prepare_task("tiny", with_folder(f"~/{tiny_data.name}", **settings), tmp_path)
    assert description["splits"]["test"]["rows"] == 60
    content = params_content()
    content["glue"]["folder"] = "~"
    content["task_settings"]["glue-sst2"]["part"] = tiny_data.name
    params = Params.model_validate(content)
    assert len(read_task("glue-sst2", params.task("glue-sst2"), params.glue, "train").rows) == 160


def test_one_text_of_a_pair_may_be_empty(tmp_path):
    """QQP's train split has two such rows."""
    rows = [{"a": "why", "b": "", "label": 0}, {"a": " ", "b": "how", "label": 1}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = TaskSettings(
        source="folder", path=str(tmp_path), text=["a", "b"], labels=["no", "yes"], metrics=["accuracy"]
    )
    assert len(read_task("pairs", settings, None, "train").rows) == 2
    (tmp_path / "train.jsonl").write_text(json.dumps({"a": "", "b": " ", "label": 0}))
    with pytest.raises(UserError, match="line 1: column 'a' holds no text"):
        read_task("pairs", settings, None, "train")


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
    data = read_task("tiny", params.task("tiny"), params.glue, "train")
    assert data.rows["label"].tolist() == [row["label"] for row in labelled_texts(40, seed=5)]


@pytest.mark.process
@pytest.mark.slow
def test_a_complete_cache_of_the_hub_may_only_be_read(tmp_path):
    """`datasets` locks files of its cache even to read them (its issue 7900)."""
    (tmp_path / "set").mkdir()
    settings = hub_data_set(tmp_path / "set", ["negative", "positive"])
    lines = ["from src.params import TaskSettings", "from tests.unit.test_data import read_task"]
    task = f"TaskSettings(**{with_folder(tmp_path, **settings).task('tiny').model_dump()!r})"
    lines += [f"print(read_task('tiny', {task}, None, 'train').rows['label'].sum())"]
    command = [sys.executable, "-c", "\n".join(lines)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HOME": str(tmp_path / "cache")}
    labels = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    may_only_be_read(tmp_path / "cache")
    told = subprocess.run(
        [*without_privileges(), *command], env=environment, capture_output=True, text=True, check=False
    )
    assert (told.stdout, told.returncode) == (labels, 0), told.stderr


@pytest.mark.parametrize("revision", ["0" * 40, "1" * 40], ids=["this one", "another"])
def test_without_the_hub_only_the_pinned_revision_is_read(tmp_path, monkeypatch, revision):
    """`datasets` would take the newest in its cache, whatever its revision."""
    import datasets

    (tmp_path / "set").mkdir()
    hub_data_set(tmp_path / "set", ["negative", "positive"])
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "first"))
    folder = tmp_path / "cache" / "owner___name" / "default" / "0.0.0" / revision
    shutil.copytree(Path(rows.cache_files[0]["filename"]).parent, folder)
    (folder / "set-train.arrow").rename(folder / "name-train.arrow")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    params = with_folder(tmp_path, source="hub", path="owner/name", revision="0" * 40)
    if revision == "0" * 40:
        assert len(read_task("tiny", params.task("tiny"), params.glue, "train").rows) == 40
    else:
        with pytest.raises(UserError, match=f"the cache is {revision}.*; check the network, or use source: folder"):
            read_task("tiny", params.task("tiny"), params.glue, "train")


def test_labels_may_be_names(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"sentence": "a", "label": "positive"}\n')
    params = with_folder(tmp_path)
    assert read_task("tiny", params.task("tiny"), params.glue, "train").rows["label"].tolist() == [1]


def test_glue_reads_a_local_folder_by_part(tiny_data):
    content = params_content()
    content["glue"]["folder"] = str(tiny_data.parent)
    content["task_settings"]["glue-sst2"]["part"] = tiny_data.name
    params = Params.model_validate(content)
    assert len(read_task("glue-sst2", params.task("glue-sst2"), params.glue, "train").rows) == 160
