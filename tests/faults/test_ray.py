"""A real Ray cluster that loses a node, whose launcher is stopped, or that does not exist."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.ray_cluster import kill_node, two_nodes
from tests.support.repository import run, same_results, small_studies, start

KIND = "Units on a Ray cluster"
REPRO = ("python", "-m", "stages.repro", "--ray")


@pytest.fixture(scope="module")
def studies(tmp_path_factory, tiny_encoder) -> tuple[Path, Path]:
    """A clone with a study of two units, not run yet, and one in which plain `dvc repro` has run to its end."""
    return small_studies(tmp_path_factory.mktemp("ray"), tiny_encoder, ["tiny"], [0, 1], epochs=12)


@pytest.fixture
def fresh(studies, tmp_path) -> Path:
    """The clone, with a cache that nodes share."""
    folder = shutil.copytree(studies[0], tmp_path / "fresh")
    run(folder, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    return folder


@contextmanager
def at_work_on_two_nodes(folder: Path) -> Generator[tuple[subprocess.Popen, str, list[Path]]]:
    """A launcher, the cluster's address and its nodes' folders; both nodes, of one CPU each, have begun to train."""
    nodes = [folder.parent / name for name in ("first", "second")]
    for node in nodes:
        node.mkdir()
    units = folder.parent / "cache/units/.dvc/tmp"
    with two_nodes(*nodes) as address:
        process = start(folder, *REPRO, address)
        while sum("epoch 2/12" in log.read_text() for log in units.glob("*-tiny-[01]/log")) < 2:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        yield process, address, nodes


def at_work(node: Path) -> list[psutil.Process]:
    """What the tasks of a node have started."""
    workers = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(node)]
    return [child for worker in workers for child in worker.children(recursive=True) if child.cwd() != str(node)]


def ended(processes: list[psutil.Process]) -> bool:
    return bool(processes) and not psutil.wait_procs(processes, timeout=30)[1]


def goes_on(folder: Path) -> bool:
    return any("going on from the checkpoint" in log.read_text() for log in (folder / "logs/tiny").iterdir())


@pytest.mark.slow
def test_a_node_that_is_lost(fresh, studies, record_fault):
    with at_work_on_two_nodes(fresh) as (process, _, nodes):
        left = at_work(nodes[1])
        kill_node(nodes[1])
        assert ended(left)
        told, _ = process.communicate(timeout=300)
        assert process.returncode == 0, told
        assert "2 of 2 units, 0 running, 0 failed" in told
    assert goes_on(fresh)
    assert same_results(fresh, studies[1])
    record_fault(KIND, "kill -9 of a node", "the other node goes on with its unit; the same bytes")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_a_launcher_that_is_stopped(fresh, studies, record_fault, name, status):
    with at_work_on_two_nodes(fresh) as (process, address, nodes):
        working = [process for node in nodes for process in at_work(node)]
        os.kill(process.pid, signal.Signals[name])
        told, _ = process.communicate(timeout=120)
        assert process.returncode == status, told
        assert ended(working)
        run(fresh, *REPRO, address)
    assert goes_on(fresh)
    assert same_results(fresh, studies[1])
    assert not list((fresh.parent / "cache/units/checkpoints").glob("*"))
    record_fault(KIND, f"the launcher gets {name}", "no unit trains on; the same command ends with the same bytes")


@pytest.mark.slow
def test_no_cluster(fresh, record_fault):
    line = run(fresh, *REPRO, "127.0.0.1:9", ok=False).splitlines()[-1]
    assert line.startswith("error: --ray 127.0.0.1:9: ")
    assert line.endswith("; run `ray start --head` here, and `ray start --address=...` on the other machines")
    record_fault(KIND, "no cluster at the address", f"`` {line} ``")
