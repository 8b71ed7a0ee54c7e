"""A folder to break, and the check that a stage refuses what is broken. The tests of faults share them."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import stages.prepare
from tests.conftest import labelled_texts
from tests.faults.hostile.cases import PREPARE, Case, everything, jsonl, write_params


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """The current folder, with a params.yaml that has a task `tiny`, and the data that it names."""
    folder = tmp_path / "work"
    (folder / "source").mkdir(parents=True)
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        lines = [json.dumps(row) for row in labelled_texts(rows, seed)]
        (folder / "source" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(folder)
    write_params()
    return folder


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, record_property) -> Callable:
    """Call a stage and check that it refuses, as a case expects."""

    def check(kind: str, case: Case, main: Callable, *arguments: str) -> None:
        before = everything(tmp_path)
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        capsys.readouterr()  # what the making of the case said
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 1
        check_line(kind, case, capsys.readouterr().err)
        assert everything(tmp_path) == before

    def check_line(kind: str, case: Case, told: str) -> None:
        [line] = told.splitlines()
        assert line.startswith("error: ")
        assert case.expected in line
        record_property("kind", kind)
        record_property("fault", case.fault)
        shown = re.sub(re.escape(str(tmp_path)) + r"/([\w.-]+/)*", "", line)
        record_property("outcome", f"`` {shown} ``")

    check.line = check_line
    return check


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """The task `tiny`, prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["prepare", *PREPARE])
        Path("source").mkdir()
        Path("source/train.jsonl").write_bytes(jsonl())
        Path("source/validation.jsonl").write_bytes(jsonl(60))
        write_params()
        stages.prepare.main()
    return folder / "data"


@pytest.fixture
def model(workplace, prepared, tiny_encoder) -> Path:
    """A folder of a sound model beside the prepared data, named in params.yaml. Determinism is switched off after."""
    shutil.copytree(prepared, "data")
    shutil.copytree(tiny_encoder.name, "model")
    write_params(("models.teacher", {"source": "folder", "name": "model"}))
    yield workplace / "model"
    torch.use_deterministic_algorithms(False)
