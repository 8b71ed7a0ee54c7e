"""The four sets of text snippets with individual human ratings that come with VADER (Hutto & Gilbert, 2014).

Each snippet has 15 to 99 ratings from -4 (negative) to 4 (positive). `movie` has two classes: the majority of the
non-zero ratings. The others have three: the plurality of negative, zero and positive ratings. Ties have no label and
are dropped.
"""

import ast
import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, NoReturn

import numpy as np
import pandas as pd

from src.data.sources.labelled_text import HUMAN_PREFIX, LabelledText
from src.fetching import archives
from src.fetching.pinned import VADER
from src.system.errors import UserError, first_line

INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
STEMS = {
    "movie": "movieReviewSnippets",
    "tweets": "tweets",
    "nyt": "nytEditorialSnippets",
    "amazon": "amazonReviewSnippets",
}
# Ids in these parts have the form document_sentence. The sentences of one document stay together.
PARTS_WITH_DOCUMENTS = {"nyt", "amazon"}
# The errors that tarfile raises for damage in different places. KeyError means a missing member.
TAR_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, KeyError, ValueError)
RATINGS = range(-4, 5)


def read_vader(part: str) -> LabelledText:
    """Read one part of the archive.

    Raises:
        UserError: the part is unknown, or the archive cannot be fetched or read.
    """
    if part not in STEMS:
        raise UserError("params.yaml: task_settings", f"no vader part '{part}'", f"allowed: {', '.join(STEMS)}")
    texts = {row[0]: row[2] for row in _rows(f"{STEMS[part]}_GroundTruth.txt", 3)}
    ratings = {row[0]: _ratings(row) for row in _rows(f"{STEMS[part]}_anonDataRatings.txt", 4)}
    if texts.keys() != ratings.keys():
        raise UserError(VADER.filename, f"texts and ratings of {part} have different ids", "use the pinned archive")
    names = ["negative", "positive"] if part == "movie" else ["negative", "neutral", "positive"]
    shares = np.array([_shares(ratings[key], neutral=len(names) == 3) for key in texts])
    rows = pd.DataFrame({"row_id": list(texts), "text_a": list(texts.values()), "label": shares.argmax(axis=1)})
    rows[[HUMAN_PREFIX + name for name in names]] = shares
    rows["group"] = rows["row_id"].str.split("_").str[0] if part in PARTS_WITH_DOCUMENTS else rows["row_id"]
    tied = np.isclose(shares, shares.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return LabelledText(rows[~tied].reset_index(drop=True), names, VADER.licence)


def _rows(filename: str, number: int) -> Iterator[list[str]]:
    """The tab-separated fields of each line of a file. A line has `number` fields, and the first is a unique id."""
    seen = set()
    for line in io.StringIO(_member(filename), newline="\n"):
        if line.strip():
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != number or fields[0] in seen:
                _refuse(filename, f"line {line!r:.60} does not have {number} fields, or repeats an id")
            seen.add(fields[0])
            yield fields


def _member(filename: str) -> str:
    """The text of one file of the archive inside the archive, without unpacking to disk."""
    path = archives.fetch(VADER)
    try:
        with tarfile.open(path) as outer, tarfile.open(fileobj=_plain_file(outer, INNER_ARCHIVE)) as inner:
            return _plain_file(inner, f"hutto_ICWSM_2014/{filename}").read().decode("utf-8-sig")
    except TAR_DAMAGE as error:
        raise UserError(path, f"cannot be read ({first_line(error)})", "use the pinned archive") from None


def _plain_file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A member of an archive. Refuse an archive with links, which tarfile would follow, or with paths out of it."""
    for member in archive.getmembers():
        archives.check_member(VADER.filename, member.name, is_link=member.issym() or member.islnk())
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file


def _ratings(fields: list[str]) -> list[int]:
    """The ratings of a text, written as a Python list of whole numbers."""
    try:
        ratings = ast.literal_eval(fields[-1])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        ratings = None
    if not isinstance(ratings, list) or not ratings or not all(type(one) is int and one in RATINGS for one in ratings):
        _refuse(f"ratings of text {fields[0]!r:.60}", f"{fields[-1]!r:.60} is not a list of ratings")
    return ratings


def _refuse(where: str, problem: str) -> NoReturn:
    raise UserError(f"{VADER.filename}: {where}", problem, "allowed: ratings from -4 to 4, as in the pinned archive")


def _shares(ratings: list[int], neutral: bool) -> list[float]:
    """The raters' shares of each class. Without a neutral class, zero ratings do not count."""
    signs = np.sign(ratings)
    counts = [(signs < 0).sum(), (signs == 0).sum(), (signs > 0).sum()]
    if not neutral:
        del counts[1]
    total = sum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]
