"""Two real processes (gloo) train as one does: the same losses, weights and measures, to float32 rounding."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def without_dropout(tiny_encoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "without-dropout"
    shutil.copytree(tiny_encoder.name, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def trained_in(processes: int, model: Path, output: Path, centroid: str, space: str):
    output.mkdir()
    # accelerate's own launcher starts several processes on GPUs only; on CPU it hands over to torch's or to MPI.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [*launch, "-m", "tests.train_in_processes", str(model), str(output), centroid, space]
    outcome = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads((output / "result.json").read_text())
    assert result["processes"] == processes
    return result["history"], load_file(output / "weights.safetensors")


@pytest.mark.parametrize(("centroid", "space"), [("ema", "feature"), ("frozen", "class")])
def test_two_processes_train_as_one_does(without_dropout, tmp_path, centroid, space):
    one_history, one = trained_in(1, without_dropout, tmp_path / "one", centroid, space)
    two_history, two = trained_in(2, without_dropout, tmp_path / "two", centroid, space)
    for name, weights in one.items():
        assert torch.allclose(two[name], weights, atol=2e-5), name
    for alone, shared in zip(one_history, two_history, strict=True):
        assert shared == pytest.approx(alone, rel=1e-3, abs=1e-6)
        assert alone["loss_cmi"] > 0
