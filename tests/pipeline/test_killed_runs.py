"""A stage killed with SIGKILL in the middle of a step, and run again, leaves the bytes of one that was not."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.params import ModelSource
from tests.conftest import REPOSITORY, labelled_texts, params_content
from tests.support.warm_python import TOOLS

STAGE = ["-m", "stages.finetune", "--task", "tiny", "--arm", "cmi_min", "--seed", "0"]
WAYS = {
    "LoRA over weights in bf16, in parts, by unit_sigmoid": {
        "model": {"lora": {"rank": 2, "alpha": 4, "dropout": 0.1}, "dtype": "bf16"},
        "runtime": {"precision": "bf16", "recompute": True},
        "objective": {"feature_map": "unit_sigmoid", "tau": 0.1},
        "training": {"accumulate": 2},
    },
    "fp16, the last epoch kept": {
        "model": {},
        "runtime": {"precision": "fp16"},
        "objective": {},
        "training": {"keep_epoch": "last"},
    },
    "LoRA over weights in bf16, while the head is trained alone": {
        "model": {"lora": {"rank": 2, "alpha": 4, "dropout": 0.1}, "dtype": "bf16"},
        "runtime": {"precision": "bf16"},
        "objective": {"feature_map": "unit_sigmoid", "ncmi_weight": 1.0},
        "training": {"epochs": 1, "head_epochs": 1, "head_lr": 0.01},
    },
}


def workplace(folder: Path, source: ModelSource, way: dict) -> None:
    """Prepared data and a params.yaml of two epochs of ten steps, with a checkpoint after each step."""
    content = params_content()
    task = {"source": "folder", "path": ".", "text": ["sentence"], "test_split": None, "metrics": ["accuracy"]}
    content["task_settings"]["tiny"] = task | {"labels": ["bad", "good"]}
    content["models"]["teacher"] = source.model_dump() | way["model"]
    content["runtime"] |= {"threads": 1, "keep_weights": True} | way["runtime"]
    content["objective"] |= way["objective"]
    content["finetune"]["training"] |= {"epochs": 2, "batch_size": 16} | way["training"]
    content["checkpoints"] = {"seconds": 0, "largest_share": 1.0}
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in labelled_texts(220, 0, 0.2)))
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    assert called(folder, ["python", "-m", "stages.prepare", "--task", "tiny"])[0] == 0


def called(folder: Path, command: list[str], **watch: str) -> tuple[int, str]:
    """Run a command; its `python` is that of `warm_stages`."""
    path = f"{REPOSITORY}:{REPOSITORY / 'tests' / 'support' / 'killing'}"
    environment = {"PATH": f"{TOOLS[0]}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": path} | watch
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
    )
    return ended.returncode, ended.stdout


def results(folder: Path) -> dict[str, bytes]:
    run = folder / "runs/tiny/teacher/cmi_min/0"
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow  # `tests/unit/test_checkpoints.py` has their like in fp32, in one process
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_killed_stage_ends_as_one_that_was_not(tiny_encoder, tmp_path, warm_stages, way):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    workplace(whole, tiny_encoder, way)
    shutil.copytree(whole, killed)
    status, told = called(whole, ["python", *STAGE])
    assert status == 0, told
    at = "stages.finetune | src/core/training/loop.py:Phase._step:call:13"
    assert called(killed, [sys.executable, *STAGE], KILL_AT=at)[0] == -signal.SIGKILL
    assert not (killed / "runs").exists()
    # In an interpreter, whose sets have another order than those of the forks.
    status, told = called(killed, [sys.executable, *STAGE])
    assert status == 0, told
    assert "going on from the checkpoint at step 12\n" in told
    assert results(killed) == results(whole)
    assert "model/model.safetensors" in results(whole)
    kept, card = json.loads(results(whole)["record.json"]), results(whole)["model/README.md"].decode()
    assert kept["training"].get("keep_epoch") == way["training"].get("keep_epoch")
    assert ("2 of 2, the last one" in card) == ("keep_epoch" in way["training"])
