"""The slots in which units run: one or several per GPU, or as many as you ask for if runs use no GPU."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL

from src.params import Runtime
from src.system.errors import UserError

Slot = dict[str, str]  # the environment variables of a slot, which runs one unit at a time
MPS = "nvidia-cuda-mps-control"


def slots(jobs: int | None, per_gpu: int, runtime: Runtime) -> list[Slot]:
    """The environment of each slot.

    Args:
        jobs: the most slots. None means all GPUs, or the number of cores divided by the threads of a run.
        per_gpu: slots on each GPU.
        runtime: has the number of CPU threads of a run.

    Raises:
        UserError: several runs would each take all cores.
    """
    if gpus := _gpus(runtime):
        return [{"CUDA_VISIBLE_DEVICES": gpu} for _ in range(per_gpu) for gpu in gpus][:jobs]
    cores = _cores()
    count = jobs or max(1, cores // (runtime.threads or cores))
    if count > 1 and runtime.threads is None:
        problem = f"is null, which gives each of {count} runs all cores"
        raise UserError("params.yaml: runtime.threads", problem, "set a number; only equal numbers repeat a result")
    return [{} for _ in range(count)]


def _cores() -> int:
    """The number of cores that this process can use, which on a cluster's node is often not all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_slots(count: int, runtime: Runtime) -> list[Slot]:
    """The environment of each of `count` slots, which share all GPUs equally."""
    gpus = _gpus(runtime)
    if len(gpus) < 2:
        return [{} for _ in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} for number in range(count)]


@contextmanager
def mps() -> Generator[None]:
    """Run NVIDIA's MPS during the block: kernels of processes that start in the block share a GPU at the same time.

    Raises:
        UserError: MPS is not installed, or does not start.
    """
    if shutil.which(MPS) is None:
        raise UserError(MPS, "is not installed", "do without MPS, or install NVIDIA's driver with it")
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:  # its sockets' paths must be short
        places = dict.fromkeys(("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"), folder)
        try:
            # The daemon outlives the command. With our streams it would keep open a pipe that somebody reads.
            subprocess.run([MPS, "-d"], env=os.environ | places, check=True, timeout=20, stdout=DEVNULL, stderr=DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(MPS, f"does not start ({error})", "do without MPS, or start it yourself") from None
        before = {name: os.environ.get(name) for name in places}
        os.environ |= places
        try:
            yield
        finally:
            with suppress(subprocess.TimeoutExpired):  # the error of the block counts
                subprocess.run([MPS], input="quit\n", text=True, check=False, timeout=20)
            for name, value in before.items():
                del os.environ[name]
                os.environ |= {} if value is None else {name: value}


def may_use_gpus(runtime: Runtime) -> bool:
    """Whether runs compute on a GPU of NVIDIA if there is one."""
    return runtime.device in ("auto", "cuda")


def _gpus(runtime: Runtime) -> list[str]:
    """The GPUs that this process can use, by their names in CUDA_VISIBLE_DEVICES. None if runs compute elsewhere."""
    if not may_use_gpus(runtime):
        return []
    import torch  # takes seconds, and a study that is up to date does not need it

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
