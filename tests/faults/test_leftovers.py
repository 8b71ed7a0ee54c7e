"""Runs that params.yaml does not ask for any more: `dvc.lock` is that of a clone that never had them."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
import yaml

import stages.collect
from src.study.records.leftovers import set_aside
from tests.support.repository import clone_with, digests, run, stages_run
from tests.support.synthetic_study import make_study

KIND = "runs of a seed that params.yaml no longer asks for"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A study of one seed in the current folder, with its runs."""
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    make_study(["bad", "good"], seeds=1)
    return folder


def left_over(folder: Path, seed: int) -> Path:
    """A run of another seed in `runs/`."""
    return shutil.copytree(folder / "runs/tiny/teacher/ce/0", folder / f"runs/tiny/teacher/ce/{seed}")


@pytest.mark.parametrize("before", [False, True], ids=["new", "moved once before"])
def test_it_is_moved_aside_and_named(study, capsys, monkeypatch, record_fault, before):
    monkeypatch.setattr(sys, "argv", ["stage", "--task", "tiny"])
    runs = digests(study, "runs/tiny")
    if before:
        (study / "runs/.aside/tiny/teacher/ce/7/old").mkdir(parents=True)
    left_over(study, 7)
    stages.collect.main()
    assert digests(study, "runs/tiny") == runs
    aside = study / "runs/.aside/tiny/teacher/ce/7"
    assert (aside / "record.json").is_file()
    assert not (aside / "old").exists()
    line = (
        "warning: params.yaml does not ask for runs/tiny/teacher/ce/7; "
        "this run is moved to runs/.aside/tiny/teacher/ce/7"
    )
    assert capsys.readouterr().err.splitlines() == [line]
    record_fault(KIND, f"it lies in runs/{', as one did before' * before}", f"`` {line} ``")


@pytest.mark.parametrize("stage", ["collect", "pool"])
def test_it_comes_back_when_params_ask_for_it_again(study, capsys, monkeypatch, record_fault, stage):
    """The whole study is set aside but for one seed, as by another study, and then asked for again."""
    whole = digests(study, "runs/tiny")
    set_aside("tiny", [])
    assert digests(study, "runs/tiny") == {}
    capsys.readouterr()
    kept = study / "runs/tiny/teacher/ce/0"
    shutil.copytree(study / "runs/.aside/tiny/teacher/ce/0", kept)
    (kept / "record.json").write_text((kept / "record.json").read_text() + "\n")
    monkeypatch.setattr(sys, "argv", ["stage", *(("--task", "tiny") if stage == "collect" else ())])
    importlib.import_module(f"stages.{stage}").main()
    first, *after = capsys.readouterr().err.splitlines()
    assert digests(study, "runs/tiny").keys() == whole.keys()
    assert {path for path, digest in digests(study, "runs/tiny").items() if whole[path] != digest} == {
        "runs/tiny/teacher/ce/0/record.json"
    }
    aside = len(list((study / "runs/tiny").glob("*/*/*"))) - 1
    more = f" and {aside - 1} more"
    assert first == f"params.yaml asks again for runs/tiny/teacher/cmi_min/0{more}: moved back from runs/.aside"
    assert (stage == "collect" and not after) or after[0].startswith("0 runs to do")
    record_fault(KIND, f"it was moved aside, is asked for again, and `stages.{stage}` runs", f"`` {first} ``")


@pytest.mark.slow
def test_dvc_lock_stays_as_it_is(study, record_fault):
    """With real DVC: `collect` looks once, and is up to date after that; its results are the same."""
    content = yaml.safe_load((study / "params.yaml").read_text())
    clone_with(study, content)
    collect = ("dvc", "repro", "--single-item", "collect@tiny")
    run(study, *collect)
    lock, records = (study / "dvc.lock").read_bytes(), digests(study, "metrics")
    left_over(study, 7)
    assert stages_run(run(study, *collect)) == ["collect@tiny"]
    assert (study / "dvc.lock").read_bytes() == lock
    assert digests(study, "metrics") == records
    assert stages_run(run(study, *collect)) == []
    record_fault(KIND, "it lies in runs/, and `dvc repro` runs", "dvc.lock and results are those of before")
