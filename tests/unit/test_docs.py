"""Pages name files that are there."""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from src.params import Objective
from src.params.types import ClaimMetric
from tests.conftest import REPOSITORY

DOCS, STUDIES = REPOSITORY / "docs", REPOSITORY / "studies"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(STUDIES.rglob("README.md")),
]


def anchors(page: Path) -> set[str]:
    """Of each heading of a page, as GitHub makes them: lower case, a dash for each blank, no other signs."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_to_sections_name_a_heading(page: Path):
    links = re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", page.read_text())
    assert [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)] == []


def test_contributors_are_sent_to_files_that_exist():
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|stages|docs|benchmarks)/[\w./]+\.\w+)`", page)
    assert len(named) > 20
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []
    of_tests = set(re.findall(r"`(\w+\.(?:py|json))`", page))
    assert of_tests - {path.name for path in (REPOSITORY / "tests").rglob("*")} == set()


def test_citations_of_our_own_pages_name_a_section():
    """`docs/method.md, Centroids` in a docstring is the beginning of a heading there."""
    for path in (REPOSITORY / "src").rglob("*.py"):
        text = " ".join(path.read_text().split())
        for page, section in re.findall(r'(docs/[\w-]+\.md), "?([A-Z][\w ]+)', text):
            headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
            assert any(heading.startswith(section.split(":")[0]) for heading in headings), (path.name, page, section)


CHOICES = {
    name: key.annotation for name, key in Objective.model_fields.items() if get_origin(key.annotation) is Literal
}


def unnamed(choices: Any, text: str) -> list[str]:
    """Those choices that a text does not name."""
    return [name for name in get_args(choices) if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("key", CHOICES)
def test_params_and_the_pages_of_the_method_name_every_choice(key):
    [line] = re.findall(rf"^ +{key}: .*", (REPOSITORY / "params.yaml").read_text(), re.MULTILINE)
    pages = "".join((REPOSITORY / f"docs/{page}.md").read_text() for page in ("method", "controls", "distillation"))
    assert (unnamed(CHOICES[key], line), unnamed(CHOICES[key], pages)) == ([], [])


def test_the_page_of_results_names_every_metric_of_claims():
    assert unnamed(ClaimMetric, (REPOSITORY / "docs/results.md").read_text()) == []
