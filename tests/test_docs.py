"""Pages name files that are there."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCS, STUDIES = REPOSITORY / "docs", REPOSITORY / "studies"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(STUDIES.rglob("README.md")),
]


def linked(page: Path) -> set[Path]:
    """The files and folders of this repository that a page links to."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    return {(page.parent / link).resolve() for link in links if "://" not in link}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path):
    assert [path for path in linked(page) if not path.exists()] == []


def test_the_index_has_every_page():
    pages = {*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"), STUDIES / "README.md"} - {DOCS / "README.md"}
    assert pages <= linked(DOCS / "README.md")


def test_the_page_of_studies_has_every_study_with_a_page():
    assert {*STUDIES.glob("*/README.md")} <= linked(STUDIES / "README.md")


def test_contributors_are_sent_to_files_that_exist():
    named = re.findall(r"`((?:src|tests|stages|docs)/[\w./]+\.\w+)`", (REPOSITORY / "CONTRIBUTING.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


def test_citations_of_our_own_pages_name_a_section():
    """`docs/method.md, Centroids` in a docstring is the beginning of a heading there."""
    for path in (REPOSITORY / "src").rglob("*.py"):
        text = " ".join(path.read_text().split())
        for page, section in re.findall(r'(docs/\w+\.md), "?([A-Z][\w ]+)', text):
            headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
            assert any(heading.startswith(section.split(":")[0]) for heading in headings), (path.name, page, section)
