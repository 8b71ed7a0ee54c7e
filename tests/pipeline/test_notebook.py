"""docs/results.ipynb runs from its first cell to its last, and its output is that of the results in git."""

import shutil
from pathlib import Path

import nbformat
import pytest

from src.data.preparation import prepare_task
from src.system.errors import UserError
from stages.notebook import NOTEBOOK, executed
from tests.conftest import REPOSITORY
from tests.support.repository import clone, run


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """The text of every output, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"]["text/plain"] for output in outputs]


READ = ("metrics/glue-minilm-fixed/claims.json", "metrics/glue-minilm-fixed/tables", "metrics/default/records")
FAULT = r"a cell fails \(FileNotFoundError: .*\); run `make repro` first, or mend the cell"


def copy(path: Path, target: Path) -> None:
    """A file, or a folder with all that is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)


def test_its_output_is_that_of_the_results_in_git(tmp_path, params):
    clone(tmp_path)
    for path in READ:
        copy(REPOSITORY / path, tmp_path / path)
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, "git", "commit", "--quiet", "--message", "results")
    prepare_task("vader-movie", params, tmp_path / "data")
    committed = nbformat.read(REPOSITORY / NOTEBOOK, as_version=4)
    outputs = shown(committed)
    assert shown(executed(tmp_path / NOTEBOOK)) == outputs, "run `make notebook`"
    assert len(outputs) == 5
    assert (
        "Minimising CMI in fine-tuning makes a better model        1.35  0.34  2.36                holds" in outputs[0]
    )


def test_without_prepared_texts_it_says_what_to_run(tmp_path):
    cell = nbformat.v4.new_code_cell("open('data/vader-movie/splits/test.parquet')")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / NOTEBOOK.name)
    with pytest.raises(UserError, match=FAULT):
        executed(tmp_path / NOTEBOOK.name)
