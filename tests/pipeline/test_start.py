"""What stages import before they do anything: libraries that they do not need cost each of them seconds."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import transformers

from src.core.deferred import defer
from tests.conftest import REPOSITORY
from tests.support.repository import run

TABLES = {"pandas", "pyarrow", "numpy"}
TORCH = {"torch", "transformers", "accelerate", "sklearn", "datasets"}
DVC = {"dvc", "dvc.repo"}
UNUSED = {"datasets", "dvc", "matplotlib", "peft", "scipy.stats", "sklearn", "transformers.trainer"}
# Stages with what none of them may import.
WITHOUT = {
    "settings": (["settings"], TABLES | TORCH | DVC | {"psutil"}),
    "DVC": (["repro", "restore", "demo"], TABLES | TORCH),
    "status": (["status"], TABLES | TORCH),
    "records": (["study", "join"], TORCH | {"scipy"}),
    "studies": (["study", "evaluate", "plot", "statistics", "published", "confirm", "join"], TORCH),
    "training": (["finetune", "student", "distill"], UNUSED),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_stages_start_without_what_they_do_not_need(kind):
    stages, absent = WITHOUT[kind]
    code = f"import json, sys, {', '.join(f'stages.{stage}' for stage in stages)}"
    code += "; print(json.dumps({name: type(module).__name__ for name, module in sys.modules.items()}))"
    imported = json.loads(run(REPOSITORY, sys.executable, "-c", code).splitlines()[-1])
    assert absent.isdisjoint(imported), absent.intersection(imported)
    # It would read the sources of all models a second time.
    assert imported.get("transformers.models", "_Deferred") == "_Deferred"


def test_the_models_that_stages_leave_out_are_there_for_whoever_asks():
    """In this process, the list may have been asked for something already."""
    for name in ("BertConfig", "GPT2Config"):
        assert getattr(transformers.models, name) is getattr(transformers, name)
        assert getattr(importlib.import_module("transformers.models"), name) is getattr(transformers, name)
    assert transformers.models.bert is importlib.import_module("transformers.models.bert")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that writes a line each time that it is run, with a module below it."""
    name = f"package_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / name
    folder.mkdir()
    line = f"with open({str(tmp_path / 'runs')!r}, 'a') as file:\n    file.write('run\\n')\nVALUE = 1\n"
    (folder / "__init__.py").write_text(line)
    (folder / "below.py").write_text("VALUE = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name, tmp_path / "runs"
    for key in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[key]


def runs(path: Path) -> int:
    """How often the package was run."""
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_deferred_package_is_run_when_it_is_asked_for_something(package):
    name, path = package
    defer(name)
    deferred = sys.modules[name]
    assert importlib.import_module(f"{name}.below").VALUE == deferred.below.VALUE == 2
    assert runs(path) == 0
    assert deferred.VALUE == importlib.import_module(name).VALUE == deferred.VALUE == 1
    assert sys.modules[name].below is deferred.below
    assert runs(path) == 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = deferred.nothing


def test_a_package_that_is_imported_or_missing_is_left_as_it_is(package):
    name, path = package
    imported = importlib.import_module(name)
    defer(name)
    defer("no_package_of_this_name")
    assert sys.modules[name] is imported
    assert runs(path) == 1
    assert "no_package_of_this_name" not in sys.modules
