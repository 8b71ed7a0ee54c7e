"""`make gpu` on a machine without a GPU, with tiny sizes: every part runs to its end."""

import json
import sys

import pytest
import torch

from benchmarks.gpu.parts import ON_REQUEST
from benchmarks.gpu.smoke import FEW, OBJECTIVES, WITH_DROPOUT
from benchmarks.gpu.trials import BEFORE
from tests.conftest import REPOSITORY
from tests.support.repository import run


@pytest.mark.slow
def test_every_part_runs_to_its_end_and_finds_what_it_must(tmp_path):
    run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", "--tiny", "--output", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["smoke"]["passed"]
    assert found["smoke"]["runs"] == len(OBJECTIVES) + 4 * len(FEW) + len(WITH_DROPOUT)
    assert found["determinism"]["passed"]
    assert found["determinism"]["killed after a checkpoint"]
    assert found["speed"]["batch 4, ours / Trainer"] > 0
    assert found["speed"]["batch 4, compiled, ours / Trainer"] > 0
    assert found["many"]["2 workers, runs a minute"] > 0


@pytest.mark.slow
def test_every_trial_of_a_faster_step_runs(tmp_path):
    options = ["--tiny", "--only", *ON_REQUEST, "--output", str(tmp_path / "found.json")]
    run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", *options)
    found = json.loads((tmp_path / "found.json").read_text())
    assert all(found["trials"][f"batch 4, {name} / {other}"] > 0 for name, other in BEFORE.items())
    assert found["stacked"]["2 models / one"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    assert "error: this machine has no GPU" in run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", ok=False)
