"""Execute docs/results.ipynb in place, so that its output shows the results in git."""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from src.system.errors import UserError, stage
from src.system.files import new_file

NOTEBOOK = Path("docs/results.ipynb")


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    notebook = executed(NOTEBOOK)
    with new_file(NOTEBOOK) as draft:
        nbformat.write(notebook, draft)


def executed(path: Path) -> NotebookNode:
    """The notebook after its execution, without the times at which it ran.

    Raises:
        UserError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, resources=place, record_timing=False)
    try:
        client.execute()
    except CellExecutionError as error:
        problem = f"a cell fails ({error.ename}: {error.evalue})"
        raise UserError(path, problem, "run `make repro` first, or mend the cell") from None
    return notebook


if __name__ == "__main__":
    main()
