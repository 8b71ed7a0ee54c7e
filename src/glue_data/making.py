"""From an official split to the file that studies read: byte for byte, or not at all."""

import gzip
from pathlib import Path

import pandas as pd

from src.data.local import DAMAGE
from src.errors import UserError
from src.files import is_file, new_file
from src.glue_data.files import StudyFile
from src.glue_data.official import OfficialSplit
from src.glue_data.rows import compressed, json_lines, normal_digest, row_hashes, sha256

NAMED = 5  # rows that an error names
OFFICIAL_COPY = "use an official copy of GLUE with the columns of nyu-mll/glue"
COMPRESSION = "same rows, other gzip bytes than the studies', as other versions of zlib write them"


def is_made(file: StudyFile, folder: Path) -> bool:
    """Whether the file is there with the lines that studies read, whatever compressed them."""
    path = folder / file.name
    try:
        return is_file(path) and sha256(gzip.decompress(path.read_bytes())) == file.sha256
    except DAMAGE:
        return False


def make_file(file: StudyFile, official: OfficialSplit, folder: Path, near: bool = False) -> str:
    """Write a file of studies from its official split.

    Args:
        near: write it also where its rows differ from those of studies in blanks, quotes or `idx`, and in nothing else.

    Returns:
        In which respect it is not the file of studies; empty where it is.

    Raises:
        UserError: official rows are missing, or others than those that studies read.
    """
    rows = official.rows if file.sample is None else _sampled(file, official)
    content = json_lines(rows)
    if sha256(content) == file.sha256:
        return write_lines(file, content, folder)
    difference = _difference(file, official.where, rows)
    if not near:
        allowed = "use another copy, or write such rows all the same with --near (make glue-data NEAR=1)"
        raise UserError(official.where, difference, allowed)
    write_lines(file, content, folder)
    return difference


def write_lines(file: StudyFile, content: bytes, folder: Path) -> str:
    """Write the lines of a file, and return a remark where gzip's bytes are not those of studies."""
    packed = compressed(content, file.gzip_name)
    with new_file(folder / file.name) as draft:
        draft.write_bytes(packed)
    return "" if sha256(packed) == file.gzip_sha256 else COMPRESSION


def _sampled(file: StudyFile, official: OfficialSplit) -> pd.DataFrame:
    """The listed rows of an official split, in the order of the list.

    Of official rows that are equal in normal form, the one with the listed exact hash is taken, or else the first. So a
    row that the official split has twice gives the same text, and a list may name a row twice.

    Raises:
        UserError: some are not there.
    """
    assert file.sample is not None
    known: dict[str, dict[str, int]] = {}
    for place, row in enumerate(row_hashes(official.rows)):
        known.setdefault(row.normal, {}).setdefault(row.exact, place)
    wanted = file.wanted()
    found = [known.get(row.normal, {}) for row in wanted]
    if missing := [line for line, places in enumerate(found, start=1) if not places]:
        lines = ", ".join(map(str, missing[:NAMED])) + (", ..." if len(missing) > NAMED else "")
        problem = (
            f"{len(missing)} of {len(found)} rows of the studies are not in it (lines of {file.sample.name}: {lines})"
        )
        raise UserError(official.where, problem, OFFICIAL_COPY)
    chosen = [places.get(row.exact, min(places.values())) for row, places in zip(wanted, found, strict=True)]
    return official.rows.iloc[chosen].assign(idx=range(len(chosen)))


def _difference(file: StudyFile, where: str, rows: pd.DataFrame) -> str:
    """How rows that are those of studies in normal form differ from them.

    Raises:
        UserError: they are others.
    """
    if len(rows) != file.rows:
        raise UserError(where, f"holds {len(rows)} rows, and the studies read {file.rows}", OFFICIAL_COPY)
    hashes = row_hashes(rows)
    if normal_digest(hashes) != file.normal_sha256:
        problem = "its texts, its labels or the order of its rows are not those that the studies read"
        raise UserError(where, problem, OFFICIAL_COPY)
    if file.sample is None:
        return "some rows differ from those that the studies read, in nothing but blanks, quotes or idx"
    others = sum(row.exact != wanted.exact for row, wanted in zip(hashes, file.wanted(), strict=True))
    return f"{others} of {len(rows)} rows differ from those that the studies read, in nothing but blanks or quotes"
