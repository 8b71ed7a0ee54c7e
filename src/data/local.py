"""Tables in local files: .jsonl[.gz], .parquet, .csv and .tsv. Texts are kept to the letter.

No word such as NA means a missing value, and quotes that are no CSV are never repaired.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from src.errors import UserError, first_line
from src.files import is_file

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", ".csv", ".tsv")
ENDINGS = f"allowed endings: {', '.join(SUFFIXES)}"
UNTYPED = (".csv", ".tsv")
# What the readers raise, depending on where the damage is.
DAMAGE = (ValueError, OSError, EOFError, zlib.error, RecursionError, KeyError, TypeError, pyarrow.ArrowException)
# A field in quotes, from one separator to the next. Its own quotes are doubled; some programs put a \ before them.
DOUBLED = r'(?<![^{0}\r\n])"(?:[^"]++|"")*+"(?![^{0}\r\n])'
ESCAPED = r'(?<![^{0}\r\n])"(?:[^"\\]++|\\.)*+"(?![^{0}\r\n])'


def find_file(folder: Path, split: str) -> Path:
    """The file of a split.

    Raises:
        UserError: there is none in a known format.
    """
    found = [path for path in (folder / f"{split}{suffix}" for suffix in SUFFIXES) if is_file(path)]
    if not found:
        raise UserError(folder / split, "no such file", ENDINGS)
    return found[0]


def read_table(path: Path, columns: list[str], quoting: bool | None = None) -> pd.DataFrame:
    """The rows of a file.

    Args:
        path: its ending says the format.
        columns: those that are needed, which are texts in a .csv or .tsv file.
        quoting: whether quotes enclose fields of a .csv or .tsv file; None: as `_quotes_enclose_fields` says.

    Raises:
        UserError: it cannot be read, or its quotes may be meant in two ways.
    """
    try:
        return _read(path, columns, quoting)
    except UnicodeDecodeError as error:
        raise UserError(path, f"not readable ({first_line(error)})", "text encoded as UTF-8") from None
    except DAMAGE as error:
        raise UserError(path, f"not readable ({first_line(error)})", "check the file's format") from None


def _read(path: Path, columns: list[str], quoting: bool | None) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return _read_parquet(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it holds NUL characters, as binary files and other encodings than UTF-8 do")
    text = content.decode("utf-8-sig")
    if path.suffix not in UNTYPED:
        return _read_json_lines(text)
    if quoting is None:
        quoting = path.suffix == ".csv" or _quotes_enclose_fields(path, text, columns)
    return _read_separated(text, columns, "," if path.suffix == ".csv" else "\t", quoting)


def _read_parquet(path: Path) -> pd.DataFrame:
    names = pq.read_schema(path).names
    if len(set(names)) < len(names):
        raise ValueError(f"it names a column twice: {', '.join(names):.100}")
    rows = pd.read_parquet(path)
    for _, values in rows.items():
        values.to_list()  # pandas decodes text late: bytes that are no UTF-8 are to be found here
    return rows.reset_index(drop=True)


def _read_json_lines(text: str) -> pd.DataFrame:
    """One JSON object a line; blank lines do not count."""
    rows = []
    for line in io.StringIO(text, newline="\n"):
        if line.strip():
            rows.append(_json_object(line, len(rows)))
    return pd.DataFrame(rows, dtype=object)  # pandas would stumble over texts that are refused later


def _json_object(line: str, row: int) -> dict[str, Any]:
    try:
        found = json.loads(line, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"row {row}: {found!r:.40} is no JSON object")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _quotes_enclose_fields(path: Path, text: str, columns: list[str]) -> bool:
    """Whether quotes of a .tsv file enclose fields, as pandas writes them, or are the texts' own, as in GLUE's.

    If a quote stands anywhere but around a whole field, all quotes are the texts' own. If the file has other columns or
    uneven rows when quotes are taken as text, they enclose fields.

    Raises:
        UserError: both may be.
    """
    if '"' not in text or '"' in re.sub(f"{DOUBLED}|{ESCAPED}".format("\t"), "", text):
        return False
    header, *lines = [line.rstrip("\r") for line in text.split("\n") if line.strip("\r")]
    names = header.split("\t")
    if not set(columns) <= set(names) or any(line.count("\t") != len(names) - 1 for line in lines):
        return True
    problem = "its quotes may enclose fields, as pandas writes them, or be the texts' own, as in GLUE's files"
    raise UserError(path, problem, "set the task's quoting to true (they enclose fields) or false")


def _read_separated(text: str, columns: list[str], separator: str, quoting: bool) -> pd.DataFrame:
    """A table with a header; rows of another number of fields are refused, of which pandas takes some."""
    if quoting:
        _check_quotes(text, separator)
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    read = partial(pd.read_csv, sep=separator, quoting=quotes, keep_default_na=False)
    header = read(io.StringIO(text), header=None, nrows=1, dtype=str)
    names = header.iloc[0].tolist()
    if len(set(names)) < len(names):
        raise ValueError(f"its header names a column twice: {', '.join(names):.100}")
    # Without low_memory, pandas would guess the type of a column part by part.
    raw = read(io.StringIO(text), dtype=dict.fromkeys(columns, str), low_memory=False)
    if not isinstance(raw.index, pd.RangeIndex):
        raise ValueError("its rows have more fields than its header")
    return raw


def _check_quotes(text: str, separator: str) -> None:
    """pandas would take a field that goes on after its closing quote, without the quotes."""
    rest = re.sub(DOUBLED.format(separator), "", text)
    if stray := re.search(rf'(?<![^{separator}\r\n])".{{0,40}}', rest):
        raise ValueError(f"{stray[0]} is no whole field in quotes; quotes within one are doubled")
