"""Pages name files that are there."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDERS = ("", "docs", "studies", "studies/*")
PAGES = [page for folder in FOLDERS for page in sorted(REPOSITORY.glob(f"{folder}/*.md".lstrip("/")))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


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
