"""Rows as hashes, for the lists in git, and as the bytes of a file.

Copies of GLUE differ in blanks, in quotes and in the Unicode form of accents. So a row has two hashes: one of its exact
texts, and one of their normal form. The normal form keeps case and all other characters, so C# and C++ differ. Quotes
around a word inside a text count too.
"""

import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from src.system.unicode import canonical

QUOTES, BLANKS = re.compile('"+'), re.compile(r"\s+")
NORMAL, EXACT = 16, 8  # hexadecimal digits. Two of half a million rows agree by chance with a probability of 1e-8


class RowHash(NamedTuple):
    """The beginnings of two SHA-256 digests of a row's texts and label: in normal form, and exact."""

    normal: str
    exact: str


def normal_form(text: str) -> str:
    """A text in NFC, with one blank or quote in place of several, and no blank or quote at its ends.

    A field in quotes with doubled quotes inside then equals the text that a CSV reader returns.
    """
    return BLANKS.sub(" ", QUOTES.sub('"', canonical(text))).strip(' "')


def row_hashes(rows: pd.DataFrame) -> list[RowHash]:
    """The hashes of each row, from its texts and label, without `idx`."""
    values = rows.drop(columns="idx").itertuples(index=False, name=None)
    return [_row_hash([str(value) for value in row]) for row in values]


def _row_hash(values: list[str]) -> RowHash:
    return RowHash(_digest(map(normal_form, values))[:NORMAL], _digest(values)[:EXACT])


def _digest(values: Iterable[str]) -> str:
    # A file may hold half of a surrogate pair. No list names such a row.
    return sha256("\x1f".join(values).encode("utf-8", "surrogatepass"))


def sha256(content: bytes) -> str:
    """The hexadecimal SHA-256 digest."""
    return hashlib.sha256(content).hexdigest()


def normal_digest(hashes: list[RowHash]) -> str:
    """The digest of all rows in normal form, in their order."""
    return sha256("".join(row.normal for row in hashes).encode())


def json_lines(rows: pd.DataFrame) -> bytes:
    """One JSON object per row, with the columns in their order."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_dict("records")]
    return "".join(lines).encode("utf-8", "surrogatepass")


def compressed(content: bytes, name: str) -> bytes:
    """The content as gzip, without a time. `name` goes into the header, and may be empty."""
    file = io.BytesIO()
    with gzip.GzipFile(name, "wb", compresslevel=9, fileobj=file, mtime=0) as stream:
        stream.write(content)
    return file.getvalue()
