"""Environment variables: they change no result unseen."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from src.core.machine.environment import ARITHMETIC, THREADS, arithmetic_variables
from src.params import ModelSource
from tests.conftest import REPOSITORY, params_content

# What accelerate reads of how a run trains; several of them break a run that heeds them.
IGNORED = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_DYNAMO_BACKEND": "AOT_EAGER",
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "PARALLELISM_CONFIG_DP_SHARD_SIZE": "2",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_DOWNCAST_BF16": "true",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, tiny_encoder: ModelSource) -> Path:
    """A prepared task `tiny`, and params.yaml to train a tiny teacher on it for one epoch."""
    folder = tmp_path_factory.mktemp("work")
    rows = [{"sentence": f"{'good film' if n % 2 else 'bad plot'} {n}", "label": n % 2} for n in range(200)]
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    content = params_content()
    content["task_settings"]["tiny"] = {"source": "folder", "path": ".", "text": ["sentence"], "test_split": None}
    content["task_settings"]["tiny"] |= {"labels": ["bad", "good"], "metrics": ["accuracy"]}
    content["models"]["teacher"] = tiny_encoder.model_dump()
    content["finetune"]["training"] |= {"epochs": 1, "batch_size": 8}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    staged(folder, "prepare", "--task", "tiny")
    return folder


def staged(folder: Path, stage: str, *arguments: str, **variables: str) -> None:
    unset = {name: value for name, value in os.environ.items() if not name.startswith(ARITHMETIC) or name in THREADS}
    environment = unset | {"PYTHONPATH": str(REPOSITORY)} | variables
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def trained(folder: Path, **variables: str) -> tuple[dict, dict[str, bytes]]:
    """The record of a run under some variables, and its other files."""
    staged(folder, "finetune", "--task", "tiny", "--arm", "cmi_min", "--seed", "0", **variables)
    run = folder / "runs" / "tiny" / "teacher" / "cmi_min" / "0"
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    return json.loads(files.pop("record.json")), files


def test_what_is_set_for_accelerate_changes_nothing_and_what_is_set_for_the_arithmetic_is_recorded(workplace):
    """MKL_DYNAMIC and OMP_PROC_BIND change no bit, so that the files of the two runs can be compared."""
    record, files = trained(workplace)
    assert "variables" not in record["environment"]
    other, same_files = trained(workplace, **IGNORED, OMP_PROC_BIND="true", MKL_DYNAMIC="FALSE")
    assert same_files == files
    record["environment"]["variables"] = "MKL_DYNAMIC=FALSE OMP_PROC_BIND=true"
    assert other == record


def test_variables_that_are_recorded_otherwise_or_are_as_the_project_sets_them_are_left_out(monkeypatch):
    for name in [name for name in os.environ if name.startswith(ARITHMETIC)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert arithmetic_variables() == ""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert arithmetic_variables() == "CUBLAS_WORKSPACE_CONFIG=:16:8 NVIDIA_TF32_OVERRIDE=1"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_tf32_is_fp32_and_there_are_no_graphs_and_the_record_says_so(workplace, tmp_path):
    record, files = trained(workplace)
    content = yaml.safe_load((workplace / "params.yaml").read_text())
    content["runtime"] |= {"precision": "tf32", "cuda_graphs": True}
    shutil.copytree(workplace / "data", tmp_path / "data")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    assert trained(tmp_path) == (record, files)
    assert record["environment"]["precision"] == "fp32"
    assert "cuda_graphs" not in record["environment"]
