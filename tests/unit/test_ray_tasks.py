"""The share of a Ray cluster that a run takes, and refusals; no test needs a cluster."""

import sys
from pathlib import Path

import pytest

from src.parallel.node import reproduce_on_node
from src.parallel.ray_tasks import _share, ray_tasks
from src.params import Runtime
from src.system.errors import UserError


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    connected = ray_tasks("127.0.0.1:9", None, 1, Runtime(threads=1), Path("cache"))
    with pytest.raises(UserError, match=r"^--ray: Ray is not installed; run `make ray`$"), connected:
        pass


def test_what_a_run_takes_of_a_cluster():
    with_gpus = {"CPU": 64.0, "GPU": 8.0}
    assert _share(with_gpus, 4, Runtime(threads=None)) == ({"num_gpus": 0.25, "num_cpus": 0}, 32)
    assert _share(with_gpus, 4, Runtime(threads=2, device="cpu")) == ({"num_cpus": 2}, 32)
    assert _share({"CPU": 7.0}, 1, Runtime(threads=2)) == ({"num_cpus": 2}, 3)
    with pytest.raises(UserError, match="threads: is null, the runs use no GPU, and the cluster has 64 cores"):
        _share(with_gpus, 1, Runtime(threads=None, device="cpu"))
    for threads, told in ((None, "null"), (4, "4")):
        with pytest.raises(UserError, match=f"is {told}, the runs use no GPU, and the cluster has 2 cores; set it to"):
            _share({"CPU": 2.0}, 1, Runtime(threads=threads))


def test_a_cache_that_a_node_does_not_see(tmp_path):
    status, log, kept = reproduce_on_node("tiny-0", b"", str(tmp_path / "cache"), [], ["finetune"], [])
    assert (status, kept) == (1, b"")
    assert log.decode().startswith("error: DVC's cache: ")
    assert log.decode().endswith(
        f" does not see {tmp_path}/cache; put DVC's cache where every node sees it: dvc cache dir --local FOLDER\n"
    )
