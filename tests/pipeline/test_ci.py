"""What continuous integration keeps and checks."""

import re

import pytest

from src.fetching.pinned import MODEL_ARCHIVES
from tests.conftest import REPOSITORY
from tests.support.repository import run


def test_the_key_of_the_cached_archives_follows_from_the_file_that_pins_them():
    """With the key of another file a changed pin would never be saved, and fetched in each run."""
    workflow = (REPOSITORY / ".github/workflows/ci.yml").read_text()
    [keyed] = {*re.findall(r"key: archives-\$\{\{ hashFiles\('(.+)'\) \}\}", workflow)}
    text = (REPOSITORY / keyed).read_text()
    assert all(archive.sha256 in text for archive, _ in MODEL_ARCHIVES.values())


@pytest.mark.slow
def test_results_in_git_are_compared_with_the_code(tmp_path):
    """Of a clean clone, without data and runs, after a change to code that trains, and to params.yaml."""
    folder = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(REPOSITORY), "clone")
    command = ("python", "-m", "stages.fresh")
    for path, change, expected in (
        (
            "src/core/metrics.py",
            "\n",
            "error: dvc.lock: does not match the code and params.yaml (stale: finetune@vader-movie-ce-0",
        ),
        ("params.yaml", "\nmisspelt: 1\n", "error: params.yaml: misspelt: unknown key"),
    ):
        text = (folder / path).read_text()
        (folder / path).write_text(text + change)
        told = run(folder, *command, ok=False)
        (folder / path).write_text(text)
        assert expected in told
    lr = (folder / "params.yaml").read_text().replace("lr: 1.5e-4", "lr: 1.6e-4")
    (folder / "params.yaml").write_text(lr)
    assert run(folder, *command, ok=False).startswith("error: settings: does not match params.yaml; run `make repro`")
