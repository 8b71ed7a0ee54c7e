"""Make the files of the studies from official splits."""

import gzip
from pathlib import Path

import pandas as pd

from src.data.sources.local import DAMAGE
from src.glue_data.files import StudyFile
from src.glue_data.official import OfficialSplit
from src.glue_data.rows import compressed, json_lines, normal_digest, row_hashes, sha256
from src.system.errors import UserError
from src.system.files import is_file, new_file

NAMED = 5  # rows that an error names
OFFICIAL_COPY = "use an official copy of GLUE with the columns of nyu-mll/glue"
COMPRESSION = "same rows as in the studies; only the gzip bytes differ, which depend on the version of zlib"


def is_made(file: StudyFile, folder: Path) -> bool:
    """Whether the file exists and has the lines that the studies read, in any compression."""
    path = folder / file.name
    try:
        return is_file(path) and sha256(gzip.decompress(path.read_bytes())) == file.sha256
    except DAMAGE:
        return False


def make_file(file: StudyFile, official: OfficialSplit, folder: Path, near: bool = False) -> str:
    """Write a file of the studies from its official split.

    Args:
        file: the file to make.
        official: the official split.
        folder: the folder to write to.
        near: whether to write a file whose rows differ from the studies' rows in blanks, quotes or `idx` only.

    Returns:
        The difference from the studies' file in words; empty if there is none.

    Raises:
        UserError: official rows are missing, or differ from the rows that the studies read.
    """
    rows = official.rows if file.sample is None else _sampled(file, official)
    content = json_lines(rows)
    if sha256(content) == file.sha256:
        return write_lines(file, content, folder)
    difference = _difference(file, official.where, rows)
    if not near:
        allowed = "use another copy, or accept the difference with --near (make glue-data NEAR=1)"
        raise UserError(official.where, difference, allowed)
    write_lines(file, content, folder)
    return difference


def write_lines(file: StudyFile, content: bytes, folder: Path) -> str:
    """Write the lines of a file, and return a remark if gzip's bytes differ from the studies' file."""
    packed = compressed(content, file.gzip_name)
    with new_file(folder / file.name) as draft:
        draft.write_bytes(packed)
    return "" if sha256(packed) == file.gzip_sha256 else COMPRESSION


def _sampled(file: StudyFile, official: OfficialSplit) -> pd.DataFrame:
    """The listed rows of an official split, in the order of the list.

    If several official rows have the same normal form, the function takes the one with the listed exact hash, or else
    the first. The official split and the list may both repeat a row.

    Raises:
        UserError: some rows are missing.
    """
    assert file.sample is not None
    known: dict[str, dict[str, int]] = {}
    for place, row in enumerate(row_hashes(official.rows)):
        known.setdefault(row.normal, {}).setdefault(row.exact, place)
    wanted = file.wanted()
    found = [known.get(row.normal, {}) for row in wanted]
    if missing := [line for line, places in enumerate(found, start=1) if not places]:
        lines = ", ".join(map(str, missing[:NAMED])) + (", ..." if len(missing) > NAMED else "")
        problem = f"lacks {len(missing)} of the {len(found)} rows that the studies read"
        raise UserError(official.where, f"{problem} (lines of {file.sample.name}: {lines})", OFFICIAL_COPY)
    chosen = [places.get(row.exact, min(places.values())) for row, places in zip(wanted, found, strict=True)]
    return official.rows.iloc[chosen].assign(idx=range(len(chosen)))


def _difference(file: StudyFile, where: str, rows: pd.DataFrame) -> str:
    """The difference, in words, between rows and the studies' rows with the same normal forms.

    Raises:
        UserError: the rows have other normal forms.
    """
    if len(rows) != file.rows:
        raise UserError(where, f"has {len(rows)} rows, but the studies read {file.rows}", OFFICIAL_COPY)
    hashes = row_hashes(rows)
    if normal_digest(hashes) != file.normal_sha256:
        problem = "its texts, labels or order of rows differ from those that the studies read"
        raise UserError(where, problem, OFFICIAL_COPY)
    if file.sample is None:
        return "some rows differ from those that the studies read, but only in blanks, quotes or idx"
    others = sum(row.exact != wanted.exact for row, wanted in zip(hashes, file.wanted(), strict=True))
    return f"{others} of {len(rows)} rows differ from those that the studies read, but only in blanks or quotes"
