"""Where units can run: a place a GPU, or several, and on a machine without one as many as are asked for."""

import os

from src.params import Runtime
from src.system.errors import UserError

Place = dict[str, str]  # the environment variables of a place where a unit can run


def places(jobs: int | None, per_gpu: int, runtime: Runtime) -> list[Place]:
    """The environment of each place.

    Args:
        jobs: the most places; None is all GPUs, or as many runs as the cores have threads for.
        per_gpu: how many share a GPU.

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
