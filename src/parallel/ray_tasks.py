"""Units as tasks of a Ray cluster: Ray places them, assigns GPUs, and repeats the units of a lost node.

A node receives the code, settings and entries of a unit, and sends its entries and log back. Data and results pass
through DVC's cache, which all nodes can read and write.
"""

import hashlib
import io
import platform
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from dvc.utils.serialize import load_yaml

from src.core.monitoring.event_files import CURVES_FOLDER, ON_NODES
from src.parallel import dvc_process, node
from src.parallel.slots import Slot, may_use_gpus
from src.parallel.unit_copy import CODE, LOCK_FILE, entries_of, outputs_of
from src.parallel.units import Unit
from src.params import PARAMS_FILE, Runtime
from src.runs import TIMING_FOLDER
from src.system.errors import UserError, first_line
from src.system.interrupts import kept_handlers
from src.system.write_faults import faults_named

SECONDS = 10.0  # the longest time to connect
RETRIES = 3  # the number of times that Ray repeats a unit whose node is lost
SENT = (*CODE, str(PARAMS_FILE), str(LOCK_FILE))
KEPT = (str(LOCK_FILE), str(TIMING_FOLDER))


@dataclass
class RayTasks:
    """The engine of a cluster."""

    ray: ModuleType
    slots: list[Slot]
    needs: dict[str, float]  # num_cpus and num_gpus of a task
    cache: Path  # of DVC
    running: set[Any] = field(init=False, default_factory=set)
    changing: threading.Lock = field(init=False, default_factory=threading.Lock)
    stopping: bool = field(init=False, default=False)

    def reproduce(self, unit: Unit, folder: Path, log: Path, slot: Slot) -> int:
        """Have a node bring a unit up to date, check its outputs out of DVC's cache, and return DVC's exit status."""
        linked = [str(path) for path in outputs_of(load_yaml(folder / LOCK_FILE)["stages"])]
        sent, place = node.packed(folder, SENT), f"{_launcher()}-{unit.name}"
        status, told, kept = self._result(place, sent, str(self.cache), linked, unit.groups, KEPT)
        log.write_bytes(told)
        if kept:
            with tarfile.open(fileobj=io.BytesIO(kept)) as file:
                file.extractall(folder, filter="data")
            status = _checked_out(unit, folder, log) or status
        return status

    def stop(self, number: int) -> None:
        """Interrupt all units, which then save and end. The signal's number makes no difference."""
        with self.changing:
            self.stopping = True
            for task in self.running:
                self.ray.cancel(task)

    def _result(self, *arguments: Any) -> tuple[int, bytes, bytes]:
        work = self.ray.remote(node.reproduce_on_node).options(**self.needs, max_retries=RETRIES)
        with self.changing:
            if self.stopping:
                return 1, b"", b""
            task = work.remote(*arguments)
            self.running.add(task)
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return 1, f"error: {first_line(error)}\n".encode(), b""
        finally:
            with self.changing:
                self.running.discard(task)


@contextmanager
def ray_tasks(address: str, jobs: int | None, per_gpu: int, runtime: Runtime, cache: Path) -> Generator[RayTasks]:
    """Connect to a cluster, and disconnect when the block ends.

    Args:
        address: host and port.
        jobs: the most units at a time. None means as many as the cluster has room for now.
        per_gpu: units that share a GPU.
        runtime: has the number of CPU threads of a run.
        cache: the folder of DVC's cache.

    Raises:
        UserError: Ray is not installed, the cluster does not exist, or it has no room for a run.
    """
    with _connected(address) as ray:
        for module in (node, dvc_process):
            ray.cloudpickle.register_pickle_by_value(module)
        show_curves(cache)
        needs, room = _share(ray.cluster_resources(), per_gpu, runtime)
        yield RayTasks(ray, [{}] * (jobs or room), needs, cache)


@contextmanager
def _connected(address: str) -> Generator[ModuleType]:
    try:
        import ray  # an optional package that takes a second to import
    except ImportError:
        raise UserError("--ray", "Ray is not installed", "run `make ray`") from None
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), SECONDS).close()  # Ray itself would try for minutes
        with kept_handlers():  # Ray replaces the handlers of signals
            ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        advice = "run `ray start --head` here, and `ray start --address=...` on the other machines"
        told = str(error) or first_line(error)  # all lines, because versions that differ have one line each
        raise UserError(f"--ray {address}", told, advice) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def show_curves(cache: Path) -> None:
    """Link the curves that nodes write beside a cache outside the repository, so that TensorBoard finds them here."""
    link = CURVES_FOLDER / ON_NODES
    if ".dvc" not in cache.parts:  # in a cache below .dvc, nodes write above .dvc like all copies of the repository
        with faults_named(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(cache / "units" / CURVES_FOLDER)


def _share(resources: dict[str, float], per_gpu: int, runtime: Runtime) -> tuple[dict[str, float], int]:
    """The resources that a run takes, and the number of runs for which the cluster has room."""
    gpus, threads = int(resources.get("GPU", 0)), runtime.threads
    if gpus and may_use_gpus(runtime):
        return {"num_gpus": 1 / per_gpu, "num_cpus": 0}, gpus * per_gpu
    cores = int(resources.get("CPU", 0))
    if threads is None or threads > cores:
        problem = f"is {'null' if threads is None else threads}, the runs use no GPU, and the cluster has {cores} cores"
        raise UserError("params.yaml: runtime.threads", problem, "set it to a number of cores that a node has")
    return {"num_cpus": threads}, cores // threads


def _launcher() -> str:
    """A name for this repository on this host, which has one launcher: launchers of two studies may share a cache."""
    return hashlib.sha256(f"{platform.node()}\0{Path.cwd()}".encode()).hexdigest()[:12]


def _checked_out(unit: Unit, folder: Path, log: Path) -> int:
    """Check a unit's outputs out of DVC's cache into its folder here, and return DVC's exit status."""
    outputs = outputs_of(entries_of(unit, folder))
    if not outputs:
        return 0
    command = [sys.executable, "-m", "dvc", "checkout", *map(str, outputs)]
    with log.open("ab") as file:
        return subprocess.run(command, cwd=folder, stdout=file, stderr=file, check=False).returncode
