"""The four sets of text snippets with individual human ratings that come with VADER.

Hutto & Gilbert (2014). Each snippet carries 15 to 99 ratings from -4 (negative) to 4 (positive); see METHOD
section 7. `movie` has two classes, the majority of the non-zero ratings; the others have three, the plurality
of negative, zero and positive ratings. Ties have no label and are dropped.
"""

import ast
import io
import tarfile
from collections.abc import Iterator

import numpy as np
import pandas as pd

from src import archives
from src.data.table import HUMAN_PREFIX, LabelledText
from src.errors import UserError

INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
STEMS = {
    "movie": "movieReviewSnippets",
    "tweets": "tweets",
    "nyt": "nytEditorialSnippets",
    "amazon": "amazonReviewSnippets",
}
# The ids of these parts are document_sentence: the sentences of one document stay together.
PARTS_WITH_DOCUMENTS = {"nyt", "amazon"}


def read_vader(part: str) -> LabelledText:
    """Read one part of the archive.

    Raises:
        UserError: unknown part, or the archive cannot be had.
    """
    if part not in STEMS:
        raise UserError("params.yaml: task_settings", f"no vader part '{part}'", f"allowed: {', '.join(STEMS)}")
    texts = {key: text for key, _, text in _rows(f"{STEMS[part]}_GroundTruth.txt")}
    ratings = {row[0]: ast.literal_eval(row[-1]) for row in _rows(f"{STEMS[part]}_anonDataRatings.txt")}
    if texts.keys() != ratings.keys():
        raise UserError(archives.VADER.filename, f"texts and ratings of {part} have other ids", "fetch it anew")
    names = ["negative", "positive"] if part == "movie" else ["negative", "neutral", "positive"]
    shares = np.array([_shares(ratings[key], neutral=len(names) == 3) for key in texts])
    rows = pd.DataFrame({"row_id": list(texts), "text_a": list(texts.values()), "label": shares.argmax(axis=1)})
    rows[[HUMAN_PREFIX + name for name in names]] = shares
    rows["group"] = rows["row_id"].str.split("_").str[0] if part in PARTS_WITH_DOCUMENTS else rows["row_id"]
    tied = np.isclose(shares, shares.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return LabelledText(rows[~tied].reset_index(drop=True), names, archives.VADER.licence)


def _rows(filename: str) -> Iterator[list[str]]:
    """The tab-separated fields of one file of the archive inside the archive; nothing is unpacked to disk."""
    with (
        tarfile.open(archives.fetch(archives.VADER)) as outer,
        tarfile.open(fileobj=outer.extractfile(INNER_ARCHIVE)) as inner,
        inner.extractfile(f"hutto_ICWSM_2014/{filename}") as raw,
    ):
        for line in io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n"):
            if line.strip():
                yield line.rstrip("\r\n").split("\t")


def _shares(ratings: list[int], neutral: bool) -> list[float]:
    """The raters' shares of each class; without a neutral class the zero ratings do not count."""
    signs = np.sign(ratings)
    counts = [(signs < 0).sum(), (signs == 0).sum(), (signs > 0).sum()]
    if not neutral:
        del counts[1]
    total = sum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]
