"""Broken settings of tasks, and sources that they do not fit."""

import shutil

import stages.check
import stages.prepare
from tests.faults.hostile.cases import PREPARE, TINY, Case, table, write_params

# Tasks: (what is broken, keys of the task, expected)
TASKS = {
    "f1 of three": (
        "f1, which is of two labels, for three",
        {"labels": ["a", "b", "c"], "metrics": ["f1"]},
        "task_settings.tiny: not acceptable",
    ),
    "unknown metric": ("an unknown metric", {"metrics": ["spearman"]}, "it should be 'accuracy'"),
    "no metric": ("no metric", {"metrics": []}, "task_settings.tiny.metrics: not acceptable (got [])"),
    "metric twice": ("a metric named twice", {"metrics": ["f1", "f1"]}, "metrics: not acceptable (got ['f1', 'f1'])"),
    "column twice": ("a text column named twice", {"text": ["a", "a"]}, "(got ['a', 'a']); name each one once"),
    "three columns": ("three text columns", {"text": ["a", "b", "c"]}, "task_settings.tiny.text: not acceptable"),
    "label as text": (
        "the label among the texts",
        {"text": ["sentence", "label"]},
        "column 'label' cannot be both text and label",
    ),
    "one split twice": (
        "one split for both train and test",
        {"test_split": "train"},
        "test_split and train_split are both 'train'",
    ),
    "unknown source": ("an unknown source", {"source": "url"}, "it should be 'vader', 'glue', 'hub' or 'folder'"),
    "missing keys": (
        "a hub task without its keys",
        {"source": "hub", "path": None, "text": None, "labels": None},
        "needs path, revision, text, labels",
    ),
    "branch": (
        "a hub data set at a branch, which can move",
        {"source": "hub", "path": "a/b", "revision": "main"},
        "task_settings.tiny.revision: not acceptable (got 'main'); it should be a full commit hash",
    ),
    "texts without a count": (
        "a file of transfer texts, and no number of them",
        {"transfer_file": "more.jsonl"},
        "transfer_file needs max_rows.transfer above 0",
    ),
    "no rows": ("a split of no rows", {"max_rows": {"train": 0}}, "tiny.max_rows.train: not acceptable (got 0)"),
    "true for rows": (
        "true for a number of rows",
        {"max_rows": {"train": True}},
        "it should be a number, not true or false",
    ),
    "true to drop": (
        "true among the labels to drop",
        {"drop_labels": [-1, True]},
        "tiny.drop_labels.1: not acceptable (got True); it should be a whole number, a text in quotes, or null",
    ),
    "number to drop": ("a number where a list of labels belongs", {"drop_labels": -1}, "it should be a valid list"),
    "name to drop": (
        "labels to drop that leave one to learn",
        {"labels": ["1", "2"], "drop_labels": [2]},
        "drop_labels leaves 1 of labels to learn: leave at least two",
    ),
    "rated rows to drop": (
        "labels to drop of VADER, whose labels are made from ratings",
        {"source": "vader", "part": "movie", "drop_labels": [-1]},
        "source vader takes no drop_labels",
    ),
    "votes for one label": (
        "a column of votes for one label of two",
        {"human": ["yes"]},
        "task_settings.tiny: not acceptable",
    ),
    "votes of two labels in one column": (
        "one column of votes for two labels",
        {"human": ["yes", "yes"]},
        "human needs one column for each label that is learnt, and no column twice",
    ),
    "votes of vader": (
        "columns of votes for VADER, which has ratings of its own",
        {"source": "vader", "part": "movie", "human": ["no", "yes"]},
        "source vader takes no human and no also_test: it has its own ratings",
    ),
    "second test set at a branch": (
        "a second test set on the hub without a revision",
        {"also_test": {"name": "rated", "source": "hub", "path": "a/b", "split": "test"}},
        "source hub needs a revision; set revision to null for source folder",
    ),
    "second test set of pairs": (
        "a second test set with two texts, for a task with one",
        {"also_test": {"name": "rated", "source": "folder", "path": "other", "split": "test", "text": ["a", "b"]}},
        "also_test.text needs as many columns as text, and none twice",
    ),
    "answer as text of the second test set": (
        "the label of a second test set as its text",
        {"also_test": {"name": "rated", "source": "folder", "path": "other", "split": "test", "text": ["label"]}},
        "column 'label' of also_test cannot be both text and label",
    ),
    "learning rate of a task": (
        "a learning rate of a task that is no number",
        {"training": {"teacher": {"lr": "fast"}}},
        "task_settings.tiny.training.teacher.lr: not acceptable (got 'fast')",
    ),
    "word for quoting": ("a word for quoting", {"quoting": "minimal"}, "tiny.quoting: not acceptable (got 'minimal')"),
    "true for overlap": (
        "true for what becomes of rows with a text of test",
        {"test_overlap": True},
        "tiny.test_overlap: not acceptable (got True); it should be 'keep' or 'drop'",
    ),
}

# Label names: the same form.
LABEL_NAMES = {
    "one label": ("one label only", {"labels": ["yes"]}, "task_settings.tiny.labels: not acceptable (got ['yes'])"),
    "twice": ("a label named twice", {"labels": ["a", "a"]}, "label names must differ by more than case"),
    "case": (
        "labels that differ by case only",
        {"labels": ["Good", "good"]},
        "labels: not acceptable (got ['Good', 'good']); label names must differ by more than case",
    ),
    "blank": (
        "a blank label",
        {"labels": ["a", " "]},
        "tiny.labels.1: not acceptable (got ' '); a label name should be",
    ),
    "empty": ("an empty label", {"labels": ["a", ""]}, "tiny.labels.1: not acceptable (got '')"),
    "line break": ("a line break in a label", {"labels": ["a", "b\nc"]}, r"labels.1: not acceptable (got 'b\nc')"),
    "escape": (
        "a label that would colour the terminal",
        {"labels": ["a", "\x1b[31mb"]},
        r"labels.1: not acceptable (got '\x1b[31mb')",
    ),
    "direction": (
        "a label that would turn the direction of the text behind it",
        {"labels": ["a", "\u202eb"]},
        r"labels.1: not acceptable (got '\u202eb'); a label name should be text without line breaks, control",
    ),
    "long": ("a label of 5,000 characters", {"labels": ["a", "b" * 5000]}, "it should have at most 50 characters"),
    "boolean": (
        "labels yes and no, which YAML takes for true and false",
        {"labels": [False, True]},
        "tiny.labels.0: not acceptable (got False); it should be text: put it in quotes",
    ),
    "null": (
        "null for a label",
        {"labels": ["a", None]},
        "tiny.labels.1: not acceptable (got None); it should be text",
    ),
    "number": ("numbers for labels", {"labels": [0, 1]}, "tiny.labels.0: not acceptable (got 0)"),
}


@table(TASKS)
def test_tasks(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("tasks", case, stages.check.main)


@table(LABEL_NAMES)
def test_label_names(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("label names", case, stages.prepare.main, *PREPARE)


# Tasks that only their source shows to be wrong: (what is broken, keys of the task, expected)
SOURCES = {
    "f1 of three raters' labels": (
        "f1 for a part of VADER that has three labels",
        {"source": "vader", "part": "tweets", "metrics": ["f1"]},
        "task_settings.tiny.metrics: does not fit negative, neutral, positive; f1 is defined for two labels",
    ),
    "unknown part": (
        "an unknown part of VADER",
        {"source": "vader", "part": "books"},
        "no vader part 'books'; allowed: ",
    ),
    "no folder": ("a folder that does not exist", {"path": "nosuch"}, "nosuch/train: no such file; allowed endings: "),
    "long path": ("a path longer than any file's", {"path": "a" * 300}, "/train: no such file; allowed endings: "),
    "no split": (
        "a split that does not exist",
        {"test_split": "dev"},
        "source/dev: no such file; set task_settings.tiny.test_split to null to cut test rows from train; allowed",
    ),
    "file as path": (
        "a file in the place of the folder that holds it",
        {"path": "source/train.jsonl"},
        "source/train.jsonl: is a file; set the task's path to the folder that holds it, source",
    ),
    "no texts": (
        "a file of transfer texts that does not exist",
        {"transfer_file": "more.jsonl", "max_rows": {"transfer": 5}},
        "more.jsonl: no such file in a known format",
    ),
    "other format": (
        "a file of transfer texts in an unknown format",
        {"transfer_file": "params.yaml", "max_rows": {"transfer": 5}},
        "params.yaml: no such file in a known format; allowed endings: .parquet, .jsonl, .json, .csv, .tsv, and",
    ),
    "folder of texts": (
        "a folder in the place of a file of transfer texts",
        {"transfer_file": "source", "max_rows": {"transfer": 5}},
        "source: no such file in a known format",
    ),
    "no transfer row": (
        "transfer rows where train takes all rows",
        {"max_rows": {"transfer": 5}},
        "tiny.max_rows.transfer: no row is left whose text is in no split; set max_rows.train below the number",
    ),
    "few rows": (
        "too few rows for every label",
        {"max_rows": {"selection": 1}},
        "max_rows.selection: 1 of 160 rows leave a split without a row of label 'positive' (69 in all); give",
    ),
    "capped test": (
        "a cap that leaves a label out of test",
        {"max_rows": {"test": 1}},
        "max_rows.test: the 1 rows of test do not hold every label; allow more rows",
    ),
    "label of no row": (
        "a label that no row has",
        {"labels": ["negative", "positive", "mixed"]},
        "tiny.train_split: split 'train' has no row of label 'mixed'; name a split with rows of every label",
    ),
    "unknown home": (
        "a home folder that does not exist",
        {"path": "~nobody-of-this-name/data"},
        "~nobody-of-this-name/data: there is no such home folder; write the path in full",
    ),
}


@table(SOURCES)
def test_sources(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("tasks", case, stages.prepare.main, *PREPARE)


def test_labels_in_another_order_than_the_data_sets(workplace, refused, monkeypatch, tmp_path_factory):
    """A local folder, which the hub's loader reads as it reads one on the hub."""
    from datasets import ClassLabel, Dataset, Features, Value, config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    shutil.rmtree("source")
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    for split in ("train", "validation"):
        Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]}, features=features).to_parquet(
            f"source/{split}-00000.parquet"
        )
    write_params(("task_settings.tiny", TINY | {"source": "hub", "path": "./source", "revision": "0" * 40}))
    expected = "its labels are not negative, positive in this order; set the task's labels to [positive, negative]"
    case = Case("label names in another order than the data set's", None, expected)
    refused("label names", case, stages.prepare.main, *PREPARE)


def test_an_unknown_task(workplace, refused):
    case = Case("a task that does not exist, on the command line", None, "task_settings: has no entry '../../etc'")
    refused("tasks", case, stages.prepare.main, "--task", "../../etc")
