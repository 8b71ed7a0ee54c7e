"""The pages that people write, their sentences, and the commands that they print."""

import re
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import REPOSITORY

GENERATED = ("faults.md", "models.md", "params.md")
WRITTEN = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")),
    *(page for page in sorted((REPOSITORY / "docs").glob("*.md")) if page.name not in GENERATED),
    *sorted((REPOSITORY / "studies").rglob("*.md")),
]
# A small letter begins a sentence in a symbol alone, such as h or fp16.
BETWEEN_SENTENCES = re.compile(r"(?<=[.!?:])[)*\"]*\s+(?=[^a-z]|[a-z]\b|\w*\d)")
SHOWN = {"code_inline": "X", "softbreak": " ", "hardbreak": " "}


def commands(page: str) -> list[tuple[str, str]]:
    """Each command of a page's console blocks, and the line below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", (REPOSITORY / page).read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, *printed = part.splitlines()
            found.append((command, next(iter(printed), "")))
    return found


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page's paragraphs and lists, code as one word; no headings, tables, code blocks or HTML."""
    for opening, token in pairwise(MarkdownIt().enable("table").parse(text)):
        if opening.type == "paragraph_open":
            yield from BETWEEN_SENTENCES.split(_plain(token.children or []))


def _plain(parts: list[Token]) -> str:
    """A paragraph on one line. The text of a link begins with a capital, as it may begin a sentence: `data.md says`."""
    text, before = "", ""
    for part in parts:
        shown = SHOWN.get(part.type, part.content)
        text += shown[:1].upper() + shown[1:] if before == "link_open" else shown
        before = part.type
    return " ".join(text.split())
