"""Two real processes (gloo) train as one does: the same losses, weights and measures, to float32 rounding."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import REPOSITORY
from tests.support.repository import with_tools

pytestmark = pytest.mark.usefixtures("warm_stages")


@pytest.fixture(scope="module")
def without_dropout(tiny_encoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "without-dropout"
    shutil.copytree(tiny_encoder.name, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def launched(processes: int, model: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Launched by `python`, the one of `warm_stages`."""
    output.mkdir(exist_ok=True)
    # accelerate's own launcher starts several processes on GPUs only; on CPU it hands over to torch's or to MPI.
    launch = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [
        *launch,
        "--no-python",
        "python",
        "-m",
        "tests.support.train_in_processes",
        str(model),
        str(output),
        *arguments,
    ]
    # Without it accelerate gives one process all cores, and each of several its share: some CPUs round otherwise.
    environment = with_tools(OMP_NUM_THREADS="1")
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def trained_in(processes: int, model: Path, output: Path, *arguments: str):
    outcome = launched(processes, model, output, *arguments)
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads((output / "result.json").read_text())
    assert result["processes"] == processes
    return result, load_file(output / "weights.safetensors")


@pytest.mark.parametrize(
    ("centroid", "space", "rounding"),
    [
        ("ema", "feature", 1e-10),
        # The mean of h is taken in float32.
        pytest.param("ema", "unit_sigmoid", 2e-5, marks=pytest.mark.slow),
        pytest.param("ema", "ncmi", 2e-5, marks=pytest.mark.slow),
        pytest.param("frozen", "class", 1e-10, marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_as_one_does(without_dropout, tmp_path, centroid, space, rounding):
    alone, one = trained_in(1, without_dropout, tmp_path / "one", centroid, space, "fp32")
    shared, two = trained_in(2, without_dropout, tmp_path / "two", centroid, space, "fp32")
    for name, weights in one.items():
        assert torch.allclose(two[name], weights, atol=rounding), name
    for row, same in zip(alone["history"], shared["history"], strict=True):
        assert same == pytest.approx(row, rel=1e-3, abs=1e-6)
        assert row["loss_cmi"] > 0


@pytest.mark.slow
def test_two_processes_train_as_one_does_in_bf16(without_dropout, tmp_path):
    """Each process rounds its own gradients, so results agree to that rounding only."""
    alone, shared = (
        trained_in(number, without_dropout, tmp_path / str(number), "ema", "feature", "bf16")[0] for number in (1, 2)
    )
    for row, same in zip(alone["history"], shared["history"], strict=True):
        # CMI is 1e-7 after the plain epoch: its logarithm tells of rounding alone.
        measures = [key for key in row if not key.endswith("log_cmi")]
        assert [same[key] for key in measures] == pytest.approx([row[key] for key in measures], abs=2e-2)


@pytest.mark.slow
def test_two_killed_processes_end_as_two_that_were_not(tiny_encoder, tmp_path):
    """With dropout, of which each process has its own masks, and killed in the second phase.

    To float rounding only: torch lays the gradients out anew after the first step of a process, and a norm is summed in
    the order of memory.
    """
    model = Path(tiny_encoder.name)
    whole, weights = trained_in(2, model, tmp_path / "whole", "ema", "unit_sigmoid", "fp32")
    assert launched(2, model, tmp_path / "killed", "ema", "unit_sigmoid", "fp32", "22").returncode != 0
    resumed, same_weights = trained_in(2, model, tmp_path / "killed", "ema", "unit_sigmoid", "fp32", "999")
    assert resumed["resumed_at"] == 22
    assert resumed["history"][:2] == whole["history"][:2]
    assert resumed["history"][2] == pytest.approx(whole["history"][2], rel=1e-5, abs=1e-9)
    assert all(torch.allclose(same_weights[name], weight, atol=2e-6) for name, weight in weights.items())
