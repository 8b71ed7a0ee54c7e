"""Broken rows of local data."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import stages.prepare
from src.data.sources.ready_splits import LONGEST_TEXT
from tests.faults.hostile.cases import PREPARE, TINY, Case, table, write_params, write_source


def column_twice() -> bytes:
    """A Parquet file with two columns `label`."""
    file = io.BytesIO()
    columns = [pa.array(["a"]), pa.array([1]), pa.array([0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["sentence", "label", "label"]), file)
    return file.getvalue()


# Rows: (what is broken, (file, its content), expected)
ROWS = {
    "empty file": ("an empty file", ("train.jsonl", "\n"), "train.jsonl: holds no rows; add at least one"),
    "no JSON": (
        "a line that is no JSON",
        ("train.jsonl", "sentence"),
        "train.jsonl: not readable (line 1: Expecting value",
    ),
    "cut JSON": (
        "a line that ends early",
        ("train.jsonl", '{"sentence": "a", "label"'),
        "not readable (line 1: Expecting",
    ),
    "array": ("a JSON array for a row", ("train.jsonl", '["a", 0]'), "line 1: ['a', 0] is not a JSON object"),
    "number": (
        "a number for a row",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n7'),
        "line 2: 7 is not a JSON object",
    ),
    "null": ("null for a row", ("train.jsonl", "null"), "line 1: None is not a JSON object"),
    "two on a line": (
        "two objects on one line",
        ("train.jsonl", '{"sentence": "a", "label": 0}, {"sentence": "b", "label": 1}'),
        "train.jsonl: not readable (line 1: Extra data",
    ),
    "key twice": (
        "a label given twice",
        ("train.jsonl", '{"sentence": "a", "label": 0, "label": 1}'),
        "line 1: a key is given twice",
    ),
    "deep JSON": (
        "20,000 brackets",
        ("train.jsonl", "[" * 20_000),
        "train.jsonl: not readable (maximum recursion depth",
    ),
    "5000 digits": ("a label of 5,000 digits", ("train.jsonl", '{"label": ' + "9" * 5000 + "}"), "Exceeds the limit"),
    "other column": (
        "no column of that name",
        ("train.jsonl", '{"text": "a", "label": 0}'),
        "train.jsonl: no column 'sentence'; allowed: 'text', 'label'",
    ),
    "no label column": ("no labels", ("train.jsonl", '{"sentence": "a"}'), "train.jsonl: no column 'label'"),
    "label too high": (
        "a label above the last",
        ("train.jsonl", '{"sentence": "a", "label": 2}'),
        "train.jsonl, line 1: label 2 is out of range; allowed: 0 to 1 as a number, or a name of negative, positive",
    ),
    "label below 0": (
        "a label below 0, as GLUE's test splits have",
        ("train.jsonl", '{"sentence": "a", "label": -1}'),
        "label -1 is out of range; allowed: 0 to 1 as a number, or a name of negative, positive; list other labels",
    ),
    "name among numbers": (
        "a name among numbers",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "b", "label": "positive"}'),
        "line 2: label 'positive' is a name, others are not; use either names or numbers in all rows",
    ),
    "number among names": (
        "a number among the names of a CSV file",
        ("train.csv", "sentence,label\na,positive\nb,0\n"),
        "train.csv, line 3: label 0 is a number, others are not",
    ),
    "leading zero": (
        "a label with a leading zero",
        ("train.csv", "sentence,label\na,01\n"),
        "line 2: label '01' is out",
    ),
    "blank before": ("a blank before a label", ("train.tsv", "sentence\tlabel\na\t 1\n"), "line 2: label ' 1' is out"),
    "label missing": (
        "a row without its label",
        ("train.jsonl", '{"sentence": "a", "label": null}'),
        "line 1: label None",
    ),
    "label with a fraction": (
        "a label with a fraction",
        ("train.jsonl", '{"sentence": "a", "label": 0.5}'),
        "line 1: label 0.5 is out of range",
    ),
    "true for a label": (
        "true for a label",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "b", "label": true}'),
        "line 2: true and false are no labels, but this row has True; write true and false as text or as 0 and 1, or",
    ),
    "infinite label": (
        "a label of 1e400",
        ("train.jsonl", '{"sentence": "a", "label": 1e400}'),
        "line 1: label inf is out of range",
    ),
    "NaN label": (
        "NaN, which is no JSON",
        ("train.jsonl", '{"sentence": "a", "label": NaN}'),
        "line 1: NaN is not JSON",
    ),
    "digit in quotes": (
        "a number in quotes for a label",
        ("train.jsonl", '{"sentence": "a", "label": "1"}'),
        "line 1: label '1' is out of range",
    ),
    "unknown name": (
        "a name that no label has",
        ("train.jsonl", '{"sentence": "a", "label": "positive"}\n{"sentence": "b", "label": "good"}'),
        "line 2: label 'good' is out of range; allowed: 0 to 1 as a number, or a name of negative, positive",
    ),
    "list for a label": (
        "a list for a label",
        ("train.jsonl", '{"sentence": "a", "label": [0]}'),
        "line 1: label [0] is out of range",
    ),
    "huge label": (
        "a label of thirty digits",
        ("train.jsonl", '{"sentence": "a", "label": 1' + "0" * 30 + "}"),
        "line 1: label 1000000000000000000000000000000 is out of range",
    ),
    "word among numbers": (
        "one word among the numbers of a CSV file",
        ("train.csv", "sentence,label\na,0\nb,1\nc,oops\n"),
        "train.csv, line 4: label 'oops' is out of range",
    ),
    "blank text": (
        "a text of blanks",
        ("train.jsonl", '{"sentence": " ", "label": 0}'),
        "line 1: column 'sentence' holds no text; allowed: a text that is not empty",
    ),
    "text missing": ("null for a text", ("train.jsonl", '{"sentence": null, "label": 0}'), "line 1: column 'sentence'"),
    "number for a text": ("a number for a text", ("train.jsonl", '{"sentence": 7, "label": 0}'), "holds no text"),
    "nested text": ("an object for a text", ("train.jsonl", '{"sentence": {"a": "b"}, "label": 0}'), "holds no text"),
    "list of texts": ("a list for a text", ("train.jsonl", '{"sentence": ["a"], "label": 0}'), "holds no text"),
    "oversized text": (
        "a text of over a million characters",
        ("train.jsonl", json.dumps({"sentence": "a" * (LONGEST_TEXT + 1), "label": 0})),
        "train.jsonl, line 1: column 'sentence' holds a text of 1000001 characters; allowed: a text that is not empty",
    ),
    "oversized field": (
        "a quote left open: a field of over a million characters",
        ("train.csv", 'sentence,label\n"' + "a,0\n" * 300_000 + '",1\n'),
        "train.csv, line 2: column 'sentence' holds a text of 1200000 characters",
    ),
    "open quote": (
        "a quote left open to the end",
        ("train.csv", 'sentence,label\n"a,0\nb,1\n'),
        "train.csv: not readable (line 2: a quote is left open",
    ),
    "field too many": (
        "a CSV row with a field too many",
        ("train.csv", "sentence,label\na,0\nb,c,1\n"),
        "train.csv: not readable (line 3 has 3 fields, but the header has 2)",
    ),
    "fields too many": (
        "every CSV row with a field more than the header",
        ("train.csv", "sentence,label\na,b,0\nc,d,1\n"),
        "train.csv: not readable (line 2 has 3 fields, but the header has 2)",
    ),
    "field too few": ("a CSV row without its label", ("train.csv", "sentence,label\na,0\nb\n"), "line 3: label ''"),
    "text too few": (
        "a CSV row without its text",
        ("train.csv", "label,sentence\n0,a\n1\n"),
        "line 3: column 'sentence'",
    ),
    "column twice": (
        "a CSV header that names a column twice",
        ("train.csv", "sentence,label,label\na,0,1\n"),
        "train.csv: not readable (it names a column twice: sentence, label, label)",
    ),
    "no header": (
        "a TSV file without a header",
        ("train.tsv", "a\t0\nb\t1\n"),
        "no column 'sentence'; allowed: 'a', '0'",
    ),
    "no CSV": ("a CSV file of nothing", ("train.csv", ""), "train.csv: not readable (it has no header)"),
    "bytes in Parquet": (
        "bytes for a text in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": [b"a"], "label": [0]})),
        "train.parquet, row 0: column 'sentence' holds no text",
    ),
    "dates in Parquet": (
        "dates for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": pd.to_datetime(["2020-01-01"])})),
        "train.parquet, row 0: label Timestamp",
    ),
    "missing in Parquet": (
        "a missing label among the integers of a Parquet file",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": pd.array([1, None], dtype="Int64")})),
        "train.parquet, row 1: label <NA> is out of range",
    ),
    "missing category": (
        "a missing label among the categories of a Parquet file",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": pd.Categorical(["positive", None])})),
        "train.parquet, row 1: label nan is out of range",
    ),
    "booleans in Parquet": (
        "booleans for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": [True, False]})),
        "train.parquet, row 0: true and false are no labels, but this row has True; write true and false as text",
    ),
    "decimals in Parquet": (
        "decimals for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": [Decimal(1)]})),
        "train.parquet, row 0: label Decimal('1') is out of range",
    ),
    "lists in Parquet": (
        "lists for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": [[1]]})),
        "train.parquet, row 0: label array([1]) is out of range",
    ),
    "missing text in Parquet": (
        "a missing text in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": pd.array(["a", None], dtype="string"), "label": [1, 0]})),
        "train.parquet, row 1: column 'sentence' holds no text",
    ),
    "column twice in Parquet": (
        "a Parquet file that names a column twice",
        ("train.parquet", column_twice()),
        "train.parquet: not readable (it names a column twice: sentence, label, label)",
    ),
    "quotes of two kinds": (
        "a TSV file whose quotes may enclose its field, or be the text's own",
        ("train.tsv", 'sentence\tlabel\n"He said ""no"" to it"\t0\n'),
        "train.tsv: its quotes may enclose fields, as pandas writes them, or belong to the texts, as in GLUE's files",
    ),
    "text after a quote": (
        "a CSV field that goes on after its closing quote",
        ("train.csv", 'sentence,label\n"a" and "b",1\n'),
        "train.csv: not readable (line 2: a quote closes before its field ends; double the quotes within a field",
    ),
    "backslashes before quotes": (
        "a CSV field whose quotes have backslashes",
        ("train.csv", 'sentence,label\n"He said \\"no\\", twice",1\n'),
        "line 2: a quote closes before its field ends; double the quotes within a field",
    ),
}

VOTED = {"human": ["no", "yes"]}
SECOND = {"name": "rated", "source": "folder", "path": "source", "split": "votes"}

# Rows that only the task's settings make wrong: (what is broken, (settings, file, content), expected)
ROWS_AND_SETTINGS = {
    "place or name": (
        "numbers for labels whose names are other numbers in the same range",
        ({"labels": ["1", "0"]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "train.jsonl, line 1: label 1 may be the name '1' or a place among 1, 0; write names as texts",
    ),
    "true among numbers": (
        "true among numbers, where true is a name",
        (
            {"labels": ["False", "True"]},
            "train.jsonl",
            '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": true}',
        ),
        "train.jsonl, line 2: label True is a name, others are not; use either names or numbers in all rows",
    ),
    "places of numbers": (
        "places for labels whose names are numbers",
        ({"labels": ["1", "2"]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "train.jsonl, line 2: label 0 is out of range; allowed: a name of 1, 2; list other labels",
    ),
    "stray quotes": (
        "quoting asked for where quotes are the texts' own",
        ({"quoting": True}, "train.tsv", 'sentence\tlabel\n"a" b\t0\n'),
        "train.tsv: not readable (line 2: a quote closes before its field ends",
    ),
    "all dropped": (
        "labels to drop that are all of one label",
        ({"drop_labels": [1]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "tiny.train_split: split 'train' has no row of label 'positive'",
    ),
    "test without a label": (
        "a test split without rows of one label",
        ({}, "validation.jsonl", '{"sentence": "a", "label": 1}'),
        "tiny.test_split: split 'validation' has no row of label 'negative'; name a split with rows of every label",
    ),
    "all in test": (
        "no train row of one label that is not in test too",
        ({"test_overlap": "drop"}, "train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "good", "label": 1}'),
        "tiny.test_overlap: train, without the 1 rows that share a text with test, has no row of label 'positive'",
    ),
    "half of the votes": (
        "votes for one label of two",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "yes": 3}\n'),
        "train.jsonl: no column 'no' (human); allowed: 'sentence', 'label', 'yes'",
    ),
    "less than no votes": (
        "votes below 0",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": -1, "yes": 3}\n'),
        "train.jsonl, line 1: column 'no' holds -1; allowed: votes or shares, each at least 0 and not all 0",
    ),
    "word for votes": (
        "a word where votes belong",
        (VOTED, "train.csv", "sentence,label,no,yes\na,1,0,many\n"),
        "train.csv, line 2: column 'yes' holds 'many'; allowed: votes or shares",
    ),
    "votes missing": (
        "votes that a row lacks",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": 0, "yes": null}\n'),
        "train.jsonl, line 1: column 'yes' holds",
    ),
    "nobody voted": (
        "a row for which nobody voted",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": 0, "yes": 0}\n'),
        "train.jsonl, line 1: nobody voted; allowed: votes or shares",
    ),
    "test without votes": (
        "a test split without the votes that are named",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}\n'),
        "task_settings.tiny.human: test has no columns no, yes; name columns of votes, or set it to null",
    ),
    "second test set without a label": (
        "a second test set without rows of one label",
        ({"also_test": SECOND}, "votes.jsonl", '{"sentence": "a", "label": 1}\n'),
        "tiny.also_test: split 'votes' has no row of label 'negative'; name a split with rows of every label",
    ),
    "second test set without votes": (
        "a second test set without the votes that are named",
        (
            {"also_test": SECOND | VOTED},
            "votes.jsonl",
            '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}\n',
        ),
        "tiny.also_test.human: test has no columns no, yes; name columns of votes, or set it to null",
    ),
    "one text of a label": (
        "a label of one text, which no cut can put on both sides",
        (
            {},
            "train.jsonl",
            '{"sentence": "a", "label": 0}\n' * 2 + '{"sentence": "b", "label": 1}\n{"sentence": "c", "label": 1}',
        ),
        "leave a split without a row of label 'negative' (2 in all); use data with more than one text or document of",
    ),
}


@table(ROWS)
def test_rows(workplace, refused, case):
    write_source(*case.damage)
    refused("data rows", case, stages.prepare.main, *PREPARE)


@table(ROWS_AND_SETTINGS)
def test_rows_and_settings(workplace, refused, case):
    settings, name, content = case.damage
    if name in ("validation.jsonl", "votes.jsonl"):
        Path("source", name).write_text(content)
    else:
        write_source(name, content)
    if "test_overlap" in settings:
        with Path("source/validation.jsonl").open("a") as file:
            file.write('{"sentence": "good", "label": 1}\n')
    write_params(("task_settings.tiny", TINY | settings))
    refused("data rows", case, stages.prepare.main, *PREPARE)


def test_a_folder_in_the_place_of_a_file(workplace, refused):
    Path("source/train.jsonl").unlink()
    Path("source/train.jsonl").mkdir()
    case = Case(
        "a folder in the place of the rows",
        None,
        "source/train: no such file, but there is train.jsonl; allowed",
    )
    refused("data rows", case, stages.prepare.main, *PREPARE)


# Transfer texts: (what is broken, (file, its content), expected)
TRANSFER = {
    "no column": (
        "transfer texts without the column",
        ("more.jsonl", '{"text": "a"}'),
        "no column 'sentence'; allowed: 'text'",
    ),
    "no text": ("null among the transfer texts", ("more.jsonl", '{"sentence": null}'), "more.jsonl, line 1: column"),
    "surrogate": (
        "half of a surrogate pair among the transfer texts",
        ("more.jsonl", r'{"sentence": "\udfff"}'),
        "more.jsonl, line 1: column 'sentence' holds half of a surrogate pair",
    ),
}


@table(TRANSFER)
def test_transfer_texts(workplace, refused, case):
    name, content = case.damage
    Path(name).write_text(content)
    write_params(("task_settings.tiny", TINY | {"transfer_file": name, "max_rows": {"transfer": 5}}))
    refused("data rows", case, stages.prepare.main, *PREPARE)
