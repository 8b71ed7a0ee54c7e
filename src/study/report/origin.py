"""The origin of a study, for its report: its command, the comment at the head of its file, and its page."""

import re
from dataclasses import dataclass
from pathlib import Path

from src.params import Params
from src.study import run_command, study_file
from src.study.statistics.intervals import FEWEST_SEEDS

PAGE = re.compile(r"docs/(?!protocol)[\w-]+\.md|studies/[\w-]+/README\.md")  # protocol.md is for all studies


@dataclass(frozen=True)
class Origin:
    """`kind` is demo, named (a folder in studies/) or own (params.yaml alone).

    `root` leads from the report to the repository's root. `about` is the comment at the head of the study's file.
    """

    kind: str
    command: str
    root: str
    seeds: int
    fewest: int = FEWEST_SEEDS
    about: str = ""
    page: str | None = None


def origin_of(params: Params) -> Origin:
    """The origin of the study in the current folder."""
    command, seeds = run_command(params.study), len(params.seeds)
    file = study_file(params.study)
    if file.is_file():
        about = _head(file)
        return Origin("named", command, "../..", seeds, about=about, page=_page(file, about))
    if command == "make demo":
        return Origin("demo", command, "../../..", seeds)  # the demo's folder has no docs/
    return Origin("own", command, "../..", seeds)


def _head(file: Path) -> str:
    """The comment before the first setting, or nothing if a command wrote it."""
    lines = file.read_text(encoding="utf-8").splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    text = " ".join(line.removeprefix("#").strip() for line in lines[:first])
    return text if not text.startswith("Made by") else ""


def _page(file: Path, about: str) -> str | None:
    """The README beside the study's file, or else the page that the comment names."""
    named, own = PAGE.search(about), file.with_name("README.md")
    if own.is_file():
        return own.as_posix()
    return named[0] if named else None
