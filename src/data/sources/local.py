"""Tables in local files: .parquet, .jsonl, .json, .csv and .tsv, and the last four as .gz.

Texts stay as they are in the file: words such as NA are texts, and a file with faulty quotes is refused.
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
# The errors that readers raise for damage in different places.
DAMAGE = (ValueError, OSError, EOFError, zlib.error, RecursionError, KeyError, TypeError, pyarrow.ArrowException)
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# A whole field in quotes of a .tsv file. Quotes inside it are doubled; some programs put a \ before them instead.
DOUBLED = r'(?<![^\t\r\n])"(?:[^"]++|"")*+"(?![^\t\r\n])'
ESCAPED = r'(?<![^\t\r\n])"(?:[^"\\]++|\\.)*+"(?![^\t\r\n])'
FIELD_IN_QUOTES = re.compile(f"{DOUBLED}|{ESCAPED}")

csv.field_size_limit(sys.maxsize)  # `ready_splits` limits the length of texts


def has_types(path: Path) -> bool:
    """Whether the format of a file distinguishes numbers from texts."""
    return _kind(path) not in (".csv", ".tsv")


def read_table(path: Path, columns: list[str], quoting: bool | None = None) -> pd.DataFrame:
    """The rows of a file, indexed by their places: "line 6", or "row 5" (from 0) in formats without lines.

    Args:
        path: the file. Its ending gives the format.
        columns: the columns that the caller needs.
        quoting: whether quotes enclose fields of a .csv or .tsv file. None means yes in a .csv file; in a .tsv file
            `_quotes_enclose_fields` decides.

    Raises:
        UserError: the file cannot be read, or its quotes have two possible meanings.
    """
    try:
        return with_canonical_columns(_read(path, columns, quoting))
    except UnicodeDecodeError as error:
        raise UserError(path, f"not readable ({first_line(error)})", "encode it as UTF-8") from None
    except DAMAGE as error:
        raise UserError(path, f"not readable ({first_line(error)})", "check the file's format") from None


def _kind(path: Path) -> str:
    """A file's ending without .gz."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def _read(path: Path, columns: list[str], quoting: bool | None) -> pd.DataFrame:
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(path, "is a pointer of Git LFS, not the file itself", "run `git lfs pull`")
    kind = _kind(path)
    if kind == ".parquet":
        return _read_parquet(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it has NUL characters, so it is a binary file or has another encoding than UTF-8")
    text = content.decode("utf-8-sig")
    if kind == ".json" and text.lstrip().startswith("["):
        return _table({f"row {number}": row for number, row in enumerate(_parsed(text))})
    if has_types(path):
        return _read_json_lines(text)
    if quoting is None:
        quoting = kind == ".csv" or _quotes_enclose_fields(path, text, columns)
    return _read_separated(text, "," if kind == ".csv" else "\t", quoting)


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pq.ParquetFile(path).read()
    if len({*table.column_names}) < table.num_columns:  # pandas cannot read such a file
        raise ValueError(f"it names a column twice: {', '.join(table.column_names):.100}")
    rows = table.to_pandas()
    if rows.index.names != [None]:  # pandas reads columns that were an index as an index
        rows = rows.reset_index()
    for _, values in rows.items():
        values.to_list()  # decodes the texts now, so that bytes that are not UTF-8 raise their error here
    return rows.set_axis([f"row {number}" for number in range(len(rows))])


def _read_json_lines(text: str) -> pd.DataFrame:
    """A table from one JSON object per line. Blank lines are skipped."""
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
    """A table from JSON objects by their places."""
    for place, row in rows.items():
        if not isinstance(row, dict):
            raise ValueError(f"{place}: {row!r:.40} is not a JSON object")
    # With dtype=object pandas accepts faulty texts, such as half of a surrogate pair, which are refused later.
    return pd.DataFrame(list(rows.values()), index=list(rows), dtype=object)


def _parsed(text: str) -> Any:
    """The value of a JSON text. Refuse a key that an object gives twice, and constants that are not JSON."""
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _quotes_enclose_fields(path: Path, text: str, columns: list[str]) -> bool:
    """Whether quotes in a .tsv file enclose fields, as pandas writes them, or belong to the texts, as in GLUE's files.

    They belong to the texts if any of them is not part of a whole field in quotes. They enclose fields if the file
    would otherwise lack a needed column or have uneven rows.

    Raises:
        UserError: both are possible.
    """
    if '"' not in text or '"' in FIELD_IN_QUOTES.sub("", text):
        return False
    if not _is_table_without_quoting(text, columns):
        return True
    problem = "its quotes may enclose fields, as pandas writes them, or belong to the texts, as in GLUE's files"
    raise UserError(path, problem, "set the task's quoting to true (they enclose fields) or false")


def _is_table_without_quoting(text: str, columns: list[str]) -> bool:
    """Whether lines that are cut at each tab have the needed columns and equal numbers of fields."""
    header, *rows = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip("\r")]
    return set(columns) <= set(map(canonical, header)) and all(len(row) == len(header) for row in rows)


def _read_separated(text: str, separator: str, quoting: bool) -> pd.DataFrame:
    """A table from lines of fields, with a header. Fields that a row lacks at its end are empty."""
    lines = _lines_of_fields(text, separator, quoting)
    if not lines:
        raise ValueError("it has no header")
    (_, header), *rows = lines.items()
    for place, fields in rows:
        if len(fields) > len(header):
            raise ValueError(f"{place} has {len(fields)} fields, but the header has {len(header)}")
        fields += [""] * (len(header) - len(fields))
    places, values = [place for place, _ in rows], [fields for _, fields in rows]
    table = pd.DataFrame(values, index=places, columns=header, dtype=str)
    # Excel ends all lines with the commas of columns that are empty now. They would all have the same name.
    return table.loc[:, [name != "" or (table.iloc[:, column] != "").any() for column, name in enumerate(header)]]


def _lines_of_fields(text: str, separator: str, quoting: bool) -> dict[str, list[str]]:
    """The fields of each line by its place, such as "line 6". Blank lines are skipped."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quotes, strict=True)
    lines, first = {}, 1
    try:
        for fields in reader:
            if fields and not (len(fields) == 1 and fields[0].isspace()):
                lines[f"line {first}"] = fields
            first = reader.line_num + 1  # a field in quotes may span several lines
    except csv.Error as error:
        problem = "is left open" if "end of data" in str(error) else "closes before its field ends"
        raise ValueError(f"line {first}: a quote {problem}; double the quotes within a field in quotes") from None
    return lines
