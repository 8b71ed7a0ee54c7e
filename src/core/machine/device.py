"""The device of a run, and its abilities: precision, CUDA graphs, float64, equal reruns.

Only this module and the slots of units side by side (`src.parallel.slots`) ask torch which devices there are.
A Mac's GPU (MPS) is untested here. So a run uses it only if runtime.device names it, and this module refuses settings
that torch's documentation leaves open there: https://docs.pytorch.org/docs/stable/notes/mps.html.
"""

import gc

import torch

from src.core.method.cmi import FLOAT32_UP_TO
from src.core.speed.instructions import bf16_instructions
from src.params import Objective, Precision, RunSettings, Runtime
from src.runs import RunName
from src.system.errors import UserError

ON_MPS = "untested on a Mac's GPU"


def device_type(runtime: Runtime) -> str:
    """The type of device that runs compute on, as torch names it: cpu, cuda, mps or another accelerator.

    Raises:
        UserError: runtime.device names a device that this machine lacks.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    kind = "cpu" if found is None else found.type
    if runtime.device == "auto":
        return "cpu" if kind == "mps" else kind
    if runtime.device not in ("cpu", kind):
        problem = f"is {runtime.device}, but torch finds no such device here"
        raise UserError("params.yaml: runtime.device", problem, "set it to auto or cpu")
    return runtime.device


def free_memory() -> None:
    """Give back the memory that finished runs of this process hold on a CUDA GPU, and begin a new peak of memory."""
    if torch.cuda.is_initialized():
        gc.collect()  # models lie in cycles of references
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def precision_of(runtime: Runtime) -> Precision:
    """The precision in which runs compute on this machine. It may differ from runtime.precision."""
    match runtime.precision:
        case "tf32":
            return "tf32" if device_type(runtime) == "cuda" else "fp32"
        case "auto":
            return "bf16" if _multiplies_bf16(device_type(runtime)) else "fp32"
        case precision:
            return precision


def _multiplies_bf16(kind: str) -> bool:
    """Whether a device has instructions that multiply in bf16."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and bf16_instructions() is not None


def rounds_on_cpu(runtime: Runtime) -> bool:
    """Whether runs compute in bf16 on a CPU. If so, its instructions matter."""
    return device_type(runtime) == "cpu" and precision_of(runtime) == "bf16"


def uses_cuda_graphs(runtime: Runtime) -> bool:
    """Whether training passes are replayed as CUDA graphs: runtime.cuda_graphs is true and runs compute on CUDA."""
    return runtime.cuda_graphs and device_type(runtime) == "cuda"


def reruns_are_equal(kind: str) -> bool:
    """Whether torch has deterministic kernels for everything that a run computes. For MPS no documentation says so."""
    return kind != "mps"


def device_name(kind: str) -> str:
    """The model of a GPU, or the instruction set of a CPU, by which torch chooses kernels."""
    if kind == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu {torch.backends.cpu.get_cpu_capability()}" if kind == "cpu" else kind


def check_device(run: RunName, settings: RunSettings, processes: int) -> None:
    """Refuse settings that a Mac's GPU cannot compute, or that are untested there.

    Raises:
        UserError: the run uses a Mac's GPU with several processes, half precision or float64.
    """
    if device_type(settings.runtime) != "mps":
        return
    cpu = "set runtime.device to cpu"
    if processes > 1:
        raise UserError(run, f"{processes} processes are {ON_MPS}", f"start one process, or {cpu}")
    if (precision := precision_of(settings.runtime)) != "fp32":
        raise UserError(run, f"runtime.precision {precision} is {ON_MPS}", f"set it to fp32, or {cpu}")
    for key, value in _temperatures(settings.objective).items():
        if value > FLOAT32_UP_TO:
            problem = f"{key} {value:g} needs float64, which a Mac's GPU lacks"
            raise UserError(run, problem, f"set it to {FLOAT32_UP_TO:g} or less, or {cpu}")


def _temperatures(objective: Objective) -> dict[str, float]:
    """The temperatures that a run may divide scores by while it trains."""
    return {
        "tau": objective.tau,
        "taus": max(objective.taus, default=0.0),
        "temperature": objective.temperature,
    }
