"""Bytes that are not what a file's ending says."""

import codecs
import gzip
import sys
from pathlib import Path
from typing import Any

import pandas as pd

import stages.prepare
from tests.conftest import flipped, labelled_texts
from tests.faults.hostile.cases import PREPARE, jsonl, table, write_source
from tests.support.repository import digests


def parquet(**settings: Any) -> bytes:
    return pd.DataFrame(labelled_texts(160, 0)).to_parquet(**settings)


# Bytes: (what is broken, (file, its content), expected)
ENCODINGS = {
    "no UTF-8": (
        "bytes that are no UTF-8",
        ("train.jsonl", b'{"sentence": "\xff\xfe", "label": 0}\n'),
        "train.jsonl: not readable ('utf-8' codec can't decode byte 0xff in position 14: invalid start byte); encode",
    ),
    "Latin-1": ("Latin-1", ("train.csv", "sentence,label\ncafé,0\n".encode("latin-1")), "encode it as UTF-8"),
    "UTF-16": (
        "UTF-16 with its mark",
        ("train.csv", "sentence,label\na,0\n".encode("utf-16")),
        "encode it as UTF-8",
    ),
    "UTF-16 without mark": (
        "UTF-16 without a mark",
        ("train.tsv", "sentence\tlabel\na\t0\n".encode("utf-16-le")),
        "train.tsv: not readable (it has NUL characters, so it is a binary file or has another encoding than UTF-8)",
    ),
    "UTF-32": ("UTF-32", ("train.jsonl", jsonl().decode().encode("utf-32-le")), "it has NUL characters"),
    "surrogate": (
        "half of a surrogate pair in JSON",
        ("train.jsonl", r'{"sentence": "a \ud800", "label": 0}'),
        "line 1: column 'sentence' holds half of a surrogate pair",
    ),
    "escaped NUL": (
        "a NUL character in JSON",
        ("train.jsonl", r'{"sentence": "a\u0000b", "label": 0}'),
        "line 1: column 'sentence' holds a NUL character",
    ),
    "raw NUL": ("a NUL byte in a CSV file", ("train.csv", b"sentence,label\na\0b,0\n"), "it has NUL characters"),
    "NUL in Parquet": (
        "a NUL character in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a\0b"], "label": [0]})),
        "train.parquet, row 0: column 'sentence' holds a NUL character",
    ),
    "control character": (
        "a raw control character in JSON",
        ("train.jsonl", b'{"sentence": "a\x01b", "label": 0}'),
        "line 1: Invalid control character",
    ),
    "no gzip": (
        "plain text with the ending of gzip",
        ("train.jsonl.gz", jsonl()),
        "train.jsonl.gz: not readable (Not a gz",
    ),
    "cut gzip": (
        "half of a gzip file",
        ("train.jsonl.gz", gzip.compress(jsonl())[:900]),
        "train.jsonl.gz: not readable",
    ),
    "flipped gzip": (
        "a gzip file with one bit flipped",
        ("train.jsonl.gz", flipped(gzip.compress(jsonl()), 700)),
        "train.jsonl.gz: not readable",
    ),
    "gzip checksum": (
        "a gzip file with a wrong checksum",
        ("train.jsonl.gz", flipped(gzip.compress(jsonl()), -8 + len(gzip.compress(jsonl())))),
        "train.jsonl.gz: not readable (CRC check failed",
    ),
    "no Parquet": ("JSON with the ending of Parquet", ("train.parquet", jsonl()), "train.parquet: not readable"),
    "cut Parquet": ("half of a Parquet file", ("train.parquet", parquet()[:1500]), "train.parquet: not readable"),
    "bytes in a Parquet text": (
        "a Parquet text whose bytes are no UTF-8",
        ("train.parquet", parquet(compression=None).replace(b"film", b"\xff\xffil")),
        "train.parquet: not readable (",
    ),
    "flipped Parquet": (
        "a Parquet file whose index has a bit flipped",
        ("train.parquet", flipped(parquet(), len(parquet()) - 6)),
        "train.parquet: not readable",
    ),
}


@table(ENCODINGS)
def test_encodings(workplace, refused, case):
    write_source(*case.damage)
    refused("encodings", case, stages.prepare.main, *PREPARE)


def test_a_byte_order_mark_is_no_fault(workplace, prepared, monkeypatch):
    """Editors on Windows write one; the prepared data are the same with and without."""
    for path in Path("source").iterdir():
        path.write_bytes(codecs.BOM_UTF8 + (jsonl() if path.stem == "train" else jsonl(60)))
    monkeypatch.setattr(sys, "argv", ["prepare", *PREPARE])
    stages.prepare.main()
    assert digests(Path(), "data") == digests(prepared.parent, "data")
