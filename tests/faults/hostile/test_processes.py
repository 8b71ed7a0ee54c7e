"""One of each kind of fault in a process of its own."""

import sys
from pathlib import Path

import pytest

from tests.faults.hostile.cases import FINETUNE, PREPARE, Case, everything, in_a_process, write_params, write_source
from tests.faults.hostile.test_encodings import ENCODINGS
from tests.faults.hostile.test_models import MODELS
from tests.faults.hostile.test_rows import ROWS


def oversized(folder: Path) -> None:
    write_source(*ROWS["oversized text"][1])


# One of each kind in a process of its own: (kind, what is broken, how, stage with its arguments, expected)
PROCESSES = {
    "params": (
        Case("true for epochs", lambda _: write_params(("finetune.training.epochs", True)), "epochs: not acceptable"),
        ["stages.check"],
    ),
    "data rows": (
        Case("a text of over a million characters", oversized, "holds a text of 1000001 characters"),
        ["stages.prepare", *PREPARE],
    ),
    "encodings": (
        Case("half of a gzip file", lambda _: write_source(*ENCODINGS["cut gzip"][1]), "train.jsonl.gz: not readable"),
        ["stages.prepare", *PREPARE],
    ),
    "model folders": (
        Case(
            "pickled weights named model.safetensors", MODELS["renamed pickle"][1], "cannot be loaded (SafetensorError"
        ),
        ["stages.finetune", *FINETUNE],
    ),
}


@pytest.mark.parametrize("kind", PROCESSES)
def test_in_a_process_of_its_own(model, tmp_path, refused, kind):
    case, command = PROCESSES[kind]
    case.damage(model)
    before = everything(tmp_path)
    outcome = in_a_process(sys.executable, "-m", *command)
    assert outcome.returncode == 1
    refused.line(kind, case, outcome.stderr)
    assert everything(tmp_path) == before
