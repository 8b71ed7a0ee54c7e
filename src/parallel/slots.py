"""The slots in which units run: one or several on each GPU; on a machine without one, as many as you ask for."""

import os

from src.params import Runtime
from src.system.errors import UserError

Slot = dict[str, str]  # the environment variables of a slot, in which one unit runs at a time


def slots(jobs: int | None, per_gpu: int, runtime: Runtime) -> list[Slot]:
    """The environment of each slot.

    Args:
        jobs: the most slots; None is all GPUs, or as many runs as the cores have threads for.
        per_gpu: slots on each GPU.

    Raises:
        UserError: several runs would each take all cores.
    """
    if gpus := _gpus():
        return [{"CUDA_VISIBLE_DEVICES": gpu} for _ in range(per_gpu) for gpu in gpus][:jobs]
    cores = _cores()
    count = jobs or max(1, cores // (runtime.threads or cores))
    if count > 1 and runtime.threads is None:
        problem = f"null gives each of {count} runs all cores"
        raise UserError("params.yaml: runtime.threads", problem, "a number; results repeat at equal numbers only")
    return [{} for _ in range(count)]


def _cores() -> int:
    """Those that this process may use: on a node of a cluster often not all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """The GPUs that may be used, as CUDA_VISIBLE_DEVICES calls them."""
    import torch  # takes seconds, and a study that is up to date needs none of it

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
