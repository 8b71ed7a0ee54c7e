"""Tables in local files: .parquet, and .jsonl, .json, .csv and .tsv, or these as .gz. Texts are kept to the letter.

No word such as NA means a missing value, and quotes that are no CSV are never repaired.
"""

import codecs
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from src.data.sources.dataset import with_canonical_columns
from src.data.sources.layouts import TEXTS
from src.system.errors import UserError, first_line
from src.system.unicode import canonical

ENDINGS = f"allowed endings: .parquet, {', '.join(TEXTS)}, and the last four with .gz"
# What the readers raise, depending on where the damage is.
DAMAGE = (ValueError, OSError, EOFError, zlib.error, RecursionError, KeyError, TypeError, pyarrow.ArrowException)
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# A field in quotes, from one separator to the next. Its own quotes are doubled; some programs put a \ before them.
DOUBLED = r'(?<![^{0}\r\n])"(?:[^"]++|"")*+"(?![^{0}\r\n])'
ESCAPED = r'(?<![^{0}\r\n])"(?:[^"\\]++|\\.)*+"(?![^{0}\r\n])'

csv.field_size_limit(sys.maxsize)  # texts have a limit of their own


def has_types(path: Path) -> bool:
    """Whether a file of this ending tells numbers from texts."""
    return _kind(path) not in (".csv", ".tsv")


def read_table(path: Path, columns: list[str], quoting: bool | None = None) -> pd.DataFrame:
    """The rows of a file, indexed by where each stands in it: "line 6", or "row 5" from 0 where there are no lines.

    Args:
        path: its ending says the format.
        columns: those that are needed.
        quoting: whether quotes enclose fields of a .csv or .tsv file; None: as `_quotes_enclose_fields` says.

    Raises:
        UserError: it cannot be read, or its quotes may be meant in two ways.
    """
    try:
        return with_canonical_columns(_read(path, columns, quoting))
    except UnicodeDecodeError as error:
        raise UserError(path, f"not readable ({first_line(error)})", "text encoded as UTF-8") from None
    except DAMAGE as error:
        raise UserError(path, f"not readable ({first_line(error)})", "check the file's format") from None


def _kind(path: Path) -> str:
    """A file's ending, but for .gz."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def _read(path: Path, columns: list[str], quoting: bool | None) -> pd.DataFrame:
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(path, "is a pointer of Git LFS, not the file itself", "fetch that with `git lfs pull`")
    kind = _kind(path)
    if kind == ".parquet":
        return _read_parquet(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it holds NUL characters, as binary files and other encodings than UTF-8 do")
    text = content.decode("utf-8-sig")
    if kind == ".json" and text.lstrip().startswith("["):
        return _table({f"row {number}": row for number, row in enumerate(_parsed(text))})
    if has_types(path):
        return _read_json_lines(text)
    if quoting is None:
        quoting = kind == ".csv" or _quotes_enclose_fields(path, text, columns)
    return _read_separated(text, "," if kind == ".csv" else "\t", quoting)


def _read_parquet(path: Path) -> pd.DataFrame:
    names = pq.read_schema(path).names
    if len(set(names)) < len(names):  # which pandas does not read
        raise ValueError(f"it names a column twice: {', '.join(names):.100}")
    rows = pd.read_parquet(path)
    for _, values in rows.items():
        values.to_list()  # pandas decodes text late: bytes that are no UTF-8 are to be found here
    return rows.set_axis([f"row {number}" for number in range(len(rows))])


def _read_json_lines(text: str) -> pd.DataFrame:
    """One JSON object a line; blank lines are no rows."""
    rows = {}
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if line.strip():
            try:
                rows[f"line {number}"] = _parsed(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}, character {error.colno}") from None
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return _table(rows)


def _table(rows: Mapping[str, object]) -> pd.DataFrame:
    """Objects of JSON by where they stand."""
    for place, row in rows.items():
        if not isinstance(row, dict):
            raise ValueError(f"{place}: {row!r:.40} is no JSON object")
    # As objects: pandas would stumble over texts that are refused later.
    return pd.DataFrame(list(rows.values()), index=list(rows), dtype=object)


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)


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
    if not set(columns) <= set(map(canonical, names)) or any(line.count("\t") != len(names) - 1 for line in lines):
        return True
    problem = "its quotes may enclose fields, as pandas writes them, or be the texts' own, as in GLUE's files"
    raise UserError(path, problem, "set the task's quoting to true (they enclose fields) or false")


def _read_separated(text: str, separator: str, quoting: bool) -> pd.DataFrame:
    """A table with a header. Blank lines are no rows, and fields that a row lacks at its end are empty."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quotes, strict=True)
    rows, first = {}, 1
    try:
        for fields in reader:
            if fields and not (len(fields) == 1 and fields[0].isspace()):
                rows[f"line {first}"] = fields
            first = reader.line_num + 1  # a field in quotes may go over several lines
    except csv.Error as error:
        problem = "is left open" if "end of data" in str(error) else "closes before its field ends"
        raise ValueError(f"line {first}: a quote {problem}; quotes within a field in quotes are doubled") from None
    if not rows:
        raise ValueError("it holds no header")
    header = rows.pop(next(iter(rows)))
    for place, fields in rows.items():
        if len(fields) > len(header):
            raise ValueError(f"{place} has {len(fields)} fields, the header {len(header)}")
        fields += [""] * (len(header) - len(fields))
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype=str)
