"""Pages have short sentences, and none of the constructions that stop a reader."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.pages import WRITTEN, sentences

MOST_WORDS = 30
BANNED = re.compile(
    r"\b(but for|of which|nor (?:is|are|was|were|does|do|did|has|have|can)"
    r"|what \S+ (?:is made of|comes? to)|comes of|such is)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_sentences_are_short_and_plain(page: Path):
    found = list(sentences(page.read_text()))
    assert [sentence for sentence in found if len(sentence.split()) > MOST_WORDS] == []
    assert [sentence for sentence in found if BANNED.search(sentence)] == []


def test_what_counts_as_a_sentence():
    text = (
        "# A heading\n\nOne `two three` four. [five](a.md) is a link. m is a mean: h is not, e.g. here.\n\n"
        "| a table |\n|---|\n| is left out |\n\n- An item\n  on two lines.\n\n```\ncode\n```\n"
    )
    assert list(sentences(text)) == [
        *("One X four.", "Five is a link.", "m is a mean:", "h is not, e.g. here."),
        "An item on two lines.",
    ]


@pytest.mark.parametrize(
    "sentence", ["All but for one.", "Nor does it.", "What `params.yaml` comes to.", "of which two"]
)
def test_constructions_that_are_found(sentence):
    assert BANNED.search(sentence)
