"""Local data: layouts, Unicode forms, label names of Parquet files, lines in errors, labels that are not learnt."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, config

import stages.prepare
from src.data.preparation import prepare_task
from src.data.sources.dataset import columns_of_task, location_of_task
from src.data.sources.ready_splits import read_split, read_unlabelled
from src.params import TaskSettings, load_params
from src.submission.asked import tasks_of_glue
from src.system.errors import UserError
from tests.conftest import labelled_texts
from tests.faults.hostile.cases import PREPARE, TINY, Case, table, write_lines, write_params

KIND = "local data"
NFC, NFD = "caf\u00e9", "cafe\u0301"
SIZES = {"train": (160, 0), "validation": (60, 1)}


def named(split: str, names: tuple[str, ...] = ("negative", "positive")) -> Dataset:
    """The rows of `workplace`, with labels that the data set names."""
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=list(names))})
    return Dataset.from_list(labelled_texts(*SIZES[split]), features=features)


def prepared(*changes: tuple[str, object], **settings: object) -> dict:
    """What `prepare` says of the task, whose settings are changed."""
    write_params(("task_settings.tiny", TINY | settings), *changes)
    return prepare_task("tiny", load_params())


def emptied() -> None:
    shutil.rmtree("source")
    Path("source").mkdir()


def as_shards() -> None:
    for split in SIZES:
        for number in range(2):
            named(split).shard(2, number, contiguous=True).to_parquet(f"source/{split}-0000{number}-of-00002.parquet")


def in_data() -> None:
    as_shards()
    Path("source/data").mkdir()
    for path in Path("source").glob("*.parquet"):
        path.rename(Path("source/data", path.name))


def as_folders() -> None:
    for split in SIZES:
        Path("source", split).mkdir()
        named(split).to_parquet(f"source/{split}/0000.parquet")
        Path("source", split, "._0000.parquet").write_bytes(b"\0\5\x16\7")  # as macOS writes beside it


def as_saved() -> None:
    DatasetDict({split: named(split) for split in SIZES}).save_to_disk("source")


def as_json() -> None:
    for split, size in SIZES.items():
        Path(f"source/{split}.json").write_text(json.dumps(labelled_texts(*size), indent=1))


LAYOUTS = {
    "the hub's shards of Parquet": as_shards,
    "the same in a folder data": in_data,
    "a folder of Parquet files": as_folders,
    "save_to_disk": as_saved,
    "a .json array": as_json,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(workplace, record_fault, layout):
    expected = prepared()["splits"]
    emptied()
    LAYOUTS[layout]()
    assert prepared()["splits"] == expected
    record_fault(KIND, f"local data as {layout}", "read: the same rows")


def corrected() -> None:
    Path("source/train.jsonl.gz").write_bytes(gzip.compress(Path("source/train.jsonl").read_bytes()))


def csv_beside() -> None:
    pd.DataFrame(labelled_texts(160, 0)).to_csv("source/train.csv", index=False)


def shards_beside() -> None:
    named("train").to_parquet("source/train-00000-of-00001.parquet")


def one_shard() -> None:
    Path("source/train.jsonl").unlink()
    named("train").to_parquet("source/train-00000-of-00002.parquet")


def other_set() -> None:
    Path("source/train.jsonl").unlink()
    for digest in ("0a", "0b"):
        named("train").to_parquet(f"source/train-00000-of-00002-{digest}.parquet")


def with_features(text: str) -> None:
    """Write train as Parquet with `text` as the features that `datasets` writes."""
    Path("source/train.jsonl").unlink()
    rows = pa.table(pd.DataFrame(labelled_texts(*SIZES["train"])))
    pq.write_table(rows.replace_schema_metadata({"huggingface": text}), "source/train.parquet")


def swapped(save: str) -> None:
    emptied()
    for split in SIZES:
        rows = named(split, ("positive", "negative"))
        (rows.to_parquet(f"source/{split}.parquet") if save == "parquet" else rows.save_to_disk(f"source/{split}"))


def with_content(name: str, content: str) -> None:
    Path("source/train.jsonl").unlink()
    Path("source", name).write_text(content)


SWAPPED = "its labels are not negative, positive in this order; set the task's labels to [positive, negative]"
ROW = '{"sentence": "a", "label": 0}\n'
BROKEN = {
    "twice": (
        "train.jsonl beside train.jsonl.gz",
        corrected,
        "has split 'train' twice, as train.jsonl and train.jsonl.gz; keep one",
    ),
    "twice as csv": ("train.csv beside train.jsonl", csv_beside, "twice, as train.csv and train.jsonl"),
    "twice as shards": ("shards beside train.jsonl", shards_beside, "train.jsonl and train-00000-of-00001.parquet"),
    "one shard": (
        "one of two shards",
        one_shard,
        "but train-00000-of-00002.parquet is one of 2; keep all files of one set",
    ),
    "first shards": (
        "the first shards of two sets",
        other_set,
        "has 2 files of split 'train', but none with the number 1; keep the files with the numbers 0 to 1, each once",
    ),
    "features": (
        "features of Parquet that are cut short",
        lambda: with_features('{"info": {"feat'),
        "train.parquet: has damaged features of `datasets`; write it again with to_parquet",
    ),
    "swapped": ("labels of Parquet in another order", lambda: swapped("parquet"), SWAPPED),
    "swapped on disk": ("labels of save_to_disk in another order", lambda: swapped("disk"), SWAPPED),
    "pointer": (
        "a pointer of Git LFS",
        lambda: with_content("train.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "train.parquet: is a pointer of Git LFS, not the file itself; run `git lfs pull`",
    ),
    "unknown ending": (
        "train.xlsx",
        lambda: with_content("train.xlsx", ""),
        "no such file, but there is train.xlsx",
    ),
    "blank in header": (
        "a blank in a CSV header",
        lambda: with_content("train.csv", "sentence, label\na,0\n"),
        "train.csv: no column 'label'; allowed: 'sentence', ' label'",
    ),
    "line of JSON": (
        "a label out of range after blank lines",
        lambda: with_content("train.jsonl", ROW + "\n\n" + ROW.replace("0", "7")),
        "train.jsonl, line 4: label 7 is out of range",
    ),
    "line of CSV": (
        "a label out of range after a text of two lines",
        lambda: with_content("train.csv", 'sentence,label\n"a\nb",0\n\nc,7\n'),
        "train.csv, line 5: label 7 is out of range",
    ),
}


@table(BROKEN)
def test_what_is_refused(workplace, refused, case):
    case.damage()
    refused(KIND, case, stages.prepare.main, *PREPARE)


def test_a_loading_script_is_named(workplace, refused, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    emptied()
    Path("source/source.py").write_text("open('ran', 'w')\n")
    write_params(("task_settings.tiny", TINY | {"source": "hub", "path": "./source", "revision": "0" * 40}))
    expected = "found source.py); fetch its Parquet files (branch refs/convert/parquet), and use source"
    refused(KIND, Case("a data set with a loading script", None, expected), stages.prepare.main, *PREPARE)


def test_features_of_a_later_version_of_datasets_are_read(workplace, record_fault):
    """Its types are unknown here, and no column that the task reads has one."""
    expected = prepared()["splits"]
    label = {"names": ["negative", "positive"], "_type": "ClassLabel", "new_key": 1}
    with_features(json.dumps({"info": {"features": {"label": label, "other": {"_type": "TypeOfTomorrow"}}}}))
    assert prepared()["splits"] == expected
    record_fault(KIND, "features of Parquet that a later version of datasets wrote", "read: the same rows")


def test_a_column_of_parquet_that_was_an_index_is_a_column(workplace, record_fault):
    expected = prepared()["splits"]
    Path("source/train.jsonl").unlink()
    pd.DataFrame(labelled_texts(*SIZES["train"])).set_index("sentence").to_parquet("source/train.parquet")
    assert prepared()["splits"] == expected
    record_fault(KIND, "texts that were the index of a table in pandas", "read: the same rows")


@pytest.mark.parametrize("names", [["0", "1"], ["1", "0"], ["2", "1"]])
def test_names_that_are_numbers_are_read_with_decimals(workplace, names):
    """pandas writes a column of labels with a gap as 1.0 and 0.0."""
    for split, size in SIZES.items():
        Path(f"source/{split}.jsonl").unlink()
        rows = [row | {"label": f"{names[row['label']]}.0"} for row in labelled_texts(*size)]
        pd.DataFrame(rows).to_csv(f"source/{split}.csv", index=False)
    counts = prepared(labels=names)["splits"]["test"]["labels"]
    labels = [row["label"] for row in labelled_texts(*SIZES["validation"])]
    assert counts == {names[0]: labels.count(0), names[1]: labels.count(1)}


def test_a_label_to_drop_that_spells_a_name_otherwise_is_dropped(workplace):
    for split, size in SIZES.items():
        Path(f"source/{split}.jsonl").unlink()
        rows = pd.DataFrame([row | {"label": str(row["label"])} for row in labelled_texts(*size)])
        rows.loc[:9, "label"] = "1.0"
        rows.to_csv(f"source/{split}.csv", index=False)
    assert prepared(labels=["0", "1"], drop_labels=["1.0"])["dropped_rows"] == {"train": 10, "test": 10}


def test_a_text_may_be_missing_where_the_label_is_dropped(workplace, record_fault):
    rows = labelled_texts(*SIZES["train"])
    write_lines("train.jsonl", [*rows, {"sentence": "", "label": -1}, {"sentence": None, "label": -1}])
    assert prepared(drop_labels=[-1])["dropped_rows"] == {"train": 2, "test": 0}
    record_fault(KIND, "no text in a row whose label is dropped", "left out with the others")


def test_a_shard_without_labels_is_refused(workplace, refused):
    """With null in drop_labels, its rows would all be left out."""
    as_shards()
    for split in SIZES:
        Path(f"source/{split}.jsonl").unlink()
    second = Path("source/train-00001-of-00002.parquet")
    pd.read_parquet(second).drop(columns="label").to_parquet(second)
    write_params(("task_settings.tiny", TINY | {"drop_labels": [None]}))
    case = Case("a shard without the column of labels", None, f"{second}: no column 'label'; allowed: 'sentence'")
    refused(KIND, case, stages.prepare.main, *PREPARE)


def test_a_shard_without_rows_is_read(workplace):
    expected = prepared()["splits"]
    Path("source/train.jsonl").unlink()
    rows = named("train").to_pandas()
    rows.to_parquet("source/train-00000-of-00002.parquet")
    rows.iloc[:0].to_parquet("source/train-00001-of-00002.parquet")
    assert prepared()["splits"] == expected


def test_rows_that_a_second_test_set_has_are_left_out_and_counted(workplace, monkeypatch, capsys):
    train, other = labelled_texts(*SIZES["train"]), labelled_texts(60, 2)
    write_lines("train.jsonl", train + other[:7])
    write_lines("other.jsonl", other)
    also = {"name": "more", "source": "folder", "path": "source", "split": "other"}
    found = prepared(also_test=also, test_split=None, test_overlap="drop")
    assert found["also_test"]["overlap"] == {"train": 0, "selection": 0, "left_out": 7}
    assert sum(split["rows"] for split in found["splits"].values()) == 160
    monkeypatch.setattr("sys.argv", ["prepare", *PREPARE])
    stages.prepare.main()
    assert "share a text with also_test, 7 were left out (test_overlap: drop)" in capsys.readouterr().out


def test_labels_in_two_unicode_forms_are_one(workplace, record_fault):
    for split, (rows, seed) in SIZES.items():
        names = ("plain", NFD)
        write_lines(f"{split}.jsonl", [row | {"label": names[row["label"]]} for row in labelled_texts(rows, seed)])
    assert list(prepared(labels=["plain", NFC])["splits"]["train"]["labels"]) == ["plain", NFC]
    record_fault(KIND, "labels as NFC in params.yaml, as NFD in the data", "the same label")


def test_columns_in_two_unicode_forms_are_one(workplace):
    for split, (rows, seed) in SIZES.items():
        texts = labelled_texts(rows, seed)
        pd.DataFrame([{NFD: row["sentence"], "label": row["label"]} for row in texts]).to_csv(
            f"source/{split}.csv", index=False
        )
        Path(f"source/{split}.jsonl").unlink()
    assert prepared(text=[NFC])["splits"]["test"]["rows"] == 60


def test_quotes_are_read_alike_with_labels_and_without(workplace, record_fault):
    """As in GLUE's train.tsv and its official test.tsv, which has no labels."""
    Path("source/train.tsv").write_text('sentence\tlabel\n"good film"\t1\n')
    Path("source/test.tsv").write_text('index\tsentence\n0\t"good film"\n')
    Path("source/train.jsonl").unlink()
    said, texts = [], []
    for quoting in (None, False, True):
        settings = TaskSettings.model_validate(TINY | {"quoting": quoting})
        location, columns = location_of_task(settings, load_params().glue), columns_of_task(settings)
        for read, split in ((read_split, "train"), (read_unlabelled, "test")):
            try:
                found = read("tiny", location, columns, split)
            except UserError as error:
                said.append(f"{error.problem}; {error.allowed}")
            else:
                texts += list((found if split == "test" else found.rows)["text_a"])
    assert texts == ['"good film"'] * 2 + ["good film"] * 2
    assert len(said) == 2
    assert said[0] == said[1]
    record_fault(KIND, "a test.tsv without labels, whose quotes may be meant in two ways", f"`` {said[1]} ``")


def test_texts_in_two_unicode_forms_overlap_and_stay_as_they_are(workplace, record_fault):
    test = [row | {"sentence": f"{row['sentence']} {number} {NFC}"} for number, row in enumerate(labelled_texts(60, 1))]
    twins = [row | {"sentence": row["sentence"].replace(NFC, NFD)} for row in test]
    write_lines("validation.jsonl", test)
    write_lines("train.jsonl", labelled_texts(160, 0) + twins)
    overlap = prepared()["test_overlap"]
    assert overlap["train"] + overlap["selection"] == 60
    texts = pd.read_parquet("data/tiny/splits/train.parquet")["text_a"]
    assert texts.str.contains(NFD).sum() == overlap["train"]
    record_fault(KIND, "texts of test in train in another Unicode form", "counted: 60 of 60")


@pytest.mark.parametrize("write", ["numbers", "names", "Parquet"])
def test_one_of_three_labels_can_be_left_out(workplace, record_fault, write):
    names = ["no", "middle", "yes"]
    for split in SIZES:
        rows = [{"sentence": f"text {split} {number}", "label": number % 3} for number in range(90)]
        if write == "names":
            rows = [row | {"label": names[row["label"]]} for row in rows]
        write_lines(f"{split}.jsonl", rows)
        if write == "Parquet":
            Path(f"source/{split}.jsonl").unlink()
            features = Features({"sentence": Value("string"), "label": ClassLabel(names=names)})
            Dataset.from_list(rows, features=features).to_parquet(f"source/{split}.parquet")
    found = prepared(labels=names, drop_labels=["middle"], metrics=["f1"])
    assert found["dropped_rows"] == {"train": 30, "test": 30}
    assert found["splits"]["test"]["labels"] == {"no": 30, "yes": 30}
    labels = pd.read_parquet("data/tiny/test_labels/test.parquet")
    numbers = labels["row_id"].str.removeprefix("validation_").astype(int)
    assert (labels["label"] == numbers % 3 // 2).all()
    record_fault(KIND, f"one of three labels left out, as {write}", "the other two are learnt")


def test_pairs_with_one_empty_text_are_counted(workplace, record_fault, monkeypatch, capsys):
    for split, (rows, seed) in SIZES.items():
        texts = [row | {"second": "" if number < 3 else "b"} for number, row in enumerate(labelled_texts(rows, seed))]
        write_lines(f"{split}.jsonl", texts)
    counts = prepared(text=["sentence", "second"])["one_text_empty"]
    assert counts.pop("test") == 3
    assert sum(counts.values()) == 3
    monkeypatch.setattr("sys.argv", ["prepare", *PREPARE])
    stages.prepare.main()
    assert "tiny test: 3 pairs have one empty text" in capsys.readouterr().out
    record_fault(KIND, "pairs of which one text is empty", "kept, and counted")


def test_transfer_texts_in_another_unicode_form_are_not_drawn(workplace):
    test = [row | {"sentence": f"{row['sentence']} {NFC}"} for row in labelled_texts(60, 1)]
    write_lines("validation.jsonl", test)
    write_lines("more.jsonl", [{"sentence": text} for text in (test[0]["sentence"].replace(NFC, NFD), NFC, NFD)])
    settings = {"max_rows": {"train": 144, "transfer": 100}, "transfer_file": "source/more.jsonl"}
    assert prepared(**settings)["transfer_rows"] == 1


def test_a_task_that_does_not_learn_all_labels_has_no_official_test(workplace):
    mnli = ("task_settings.glue-mnli.drop_labels", ["neutral"])
    write_params(mnli, ("tasks", ["glue-mnli", "glue-rte"]))
    assert list(tasks_of_glue(load_params())) == ["glue-rte"]
