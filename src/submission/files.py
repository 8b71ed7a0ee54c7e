"""The files of a submission to the GLUE server: a zip with one tab-separated file per test split.

    index   prediction        the number of the row, from 0; the label's number or name, depending on the task

The names of splits and files, and the form of the labels, follow https://gluebenchmark.com/faq.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.system.files import new_file

EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip file's earliest time, so that equal predictions give equal bytes


class OfficialTest(NamedTuple):
    """An official test split, the file of its predictions, and whether labels are written by name."""

    split: str
    file: str
    by_name: bool


OFFICIAL_TESTS: dict[str, list[OfficialTest]] = {
    "cola": [OfficialTest("test", "CoLA.tsv", by_name=False)],
    "sst2": [OfficialTest("test", "SST-2.tsv", by_name=False)],
    "mrpc": [OfficialTest("test", "MRPC.tsv", by_name=False)],
    "qqp": [OfficialTest("test", "QQP.tsv", by_name=False)],
    "mnli": [
        OfficialTest("test_matched", "MNLI-m.tsv", by_name=True),
        OfficialTest("test_mismatched", "MNLI-mm.tsv", by_name=True),
    ],
    "qnli": [OfficialTest("test", "QNLI.tsv", by_name=True)],
    "rte": [OfficialTest("test", "RTE.tsv", by_name=True)],
    "wnli": [OfficialTest("test", "WNLI.tsv", by_name=False)],
}
OFFICIAL_LABELS = {  # in the order of the data's numbers
    "cola": ["unacceptable", "acceptable"],
    "sst2": ["negative", "positive"],
    "mrpc": ["not_equivalent", "equivalent"],
    "qqp": ["not_duplicate", "duplicate"],
    "mnli": ["entailment", "neutral", "contradiction"],
    "qnli": ["entailment", "not_entailment"],
    "rte": ["entailment", "not_entailment"],
    "wnli": ["not_entailment", "entailment"],
}
# All files that the server requires. STS-B, a regression, and AX, a diagnostic set, are no tasks of this project.
ALL_FILES = [*(test.file for tests in OFFICIAL_TESTS.values() for test in tests), "STS-B.tsv", "AX.tsv"]


def table_of(labels: Sequence[int], names: Sequence[str], by_name: bool) -> str:
    """The content of a file: a header, then one line per row. `names` are GLUE's, in the order of its numbers."""
    lines = [f"{row}\t{names[label] if by_name else label}" for row, label in enumerate(labels)]
    return "\n".join(["index\tprediction", *lines]) + "\n"


def write_submission(target: Path, tables: dict[str, str]) -> None:
    """Write the zip file, all of it or nothing. Equal tables give equal bytes."""
    with new_file(target) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, content in tables.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
