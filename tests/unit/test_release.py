"""All files that state the version agree, and all that cite the paper name its authors."""

import re
import tomllib

import yaml

from src.system.supported import OLDEST
from tests.conftest import REPOSITORY
from tests.support.repository import run

CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text()


def test_version_and_date_are_said_alike():
    newest, date = re.findall(r"^## \[(.+)\] - (.+)$", CHANGELOG, re.MULTILINE)[0]
    assert (CITATION["version"], str(CITATION["date-released"])) == (newest, date)
    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"] == newest


def test_works_that_are_cited_have_authors_in_full():
    for reference in CITATION["references"]:
        assert all(author["family-names"] and author["given-names"] for author in reference["authors"])


def test_the_changelog_names_commits_of_this_history():
    """And the number of runs that each study's records have."""
    rows = re.findall(r"^\| `(.+)` \| (\d+) \| (.+) \| \d{4}", CHANGELOG, re.MULTILINE)
    assert len(rows) == 8
    shallow = run(REPOSITORY, "git", "rev-parse", "--is-shallow-repository").strip() == "true"
    for study, runs, commits in rows:
        tables = (REPOSITORY / "metrics" / study).glob("records/*/runs.csv")
        assert sum(len(table.read_text().splitlines()) - 1 for table in tables) == int(runs), study
        for commit in [] if shallow else re.findall(r"\b[0-9a-f]{7}\b", commits):
            run(REPOSITORY, "git", "merge-base", "--is-ancestor", commit, "HEAD")


def test_pythons_are_said_alike():
    """Those of CI, of README and of the Makefile's and the code's refusals."""
    tested = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    oldest, newest = tested["python"][0], tested["python"][-1]
    assert oldest == ".".join(map(str, OLDEST))
    assert f"Python {oldest} to {newest}" in (REPOSITORY / "README.md").read_text()
    assert f"sys.version_info < {OLDEST}" in (REPOSITORY / "Makefile").read_text()
    assert f'requires-python = ">={oldest}"' in (REPOSITORY / "pyproject.toml").read_text()
