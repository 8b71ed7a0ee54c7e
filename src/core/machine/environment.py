"""The threads, libraries and kernels of a run, and the environment variables that affect them.

No environment variable changes a result without a trace.

- Variables of accelerate are ignored, because params.yaml says how a run trains. `accelerate launch` sets some from its
  options and the user's config file, such as ACCELERATE_MIXED_PRECISION and ACCELERATE_GRADIENT_ACCUMULATION_STEPS.
- Variables that change the arithmetic of libraries are left to the user, and are recorded.
"""

import os
import platform

import accelerate
import numpy as np
import tokenizers
import torch
import transformers
from accelerate import Accelerator

from src.core.machine.device import (
    device_name,
    device_type,
    precision_of,
    reruns_are_equal,
    rounds_on_cpu,
    uses_cuda_graphs,
)
from src.core.speed.allocator import keep_and_enlarge_pages
from src.core.speed.instructions import bf16_instructions, emulates_bf16
from src.params import Runtime
from src.system.errors import UserError

DEFAULTS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # deterministic mode refuses cuBLAS without it
# Prefixes of the variables by which torch and its libraries choose kernels, precisions or an order of summation.
# ATEN_CPU_CAPABILITY is not among them, because `device` shows its effect.
ARITHMETIC = (
    *("MKL_", "ONEDNN_", "DNNL_", "OMP_", "FBGEMM_", "NPY_", "GLIBC_TUNABLES", "CUBLAS", "NVIDIA_TF32", "NCCL_ALGO"),
    *("NCCL_PROTO", "TORCH_ALLOW_TF32", "TORCH_BLAS_", "TORCH_LINALG_", "TORCH_CUDNN_", "PYTORCH_TUNABLEOP_"),
    *("DISABLE_ADDMM_", "TRANSFORMERS_SDPA_", "PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_MPS_"),
    *(() if torch.backends.mkl.is_available() else ("OPENBLAS_",)),  # torch uses MKL or OpenBLAS
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # `threads` shows their effect
# accelerate takes itself for one of several processes if one of these variables has another value than here.
MPI_ALONE = dict.fromkeys(("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"), "1")
ALONE = {"LOCAL_RANK": "-1", "WORLD_SIZE": "1"} | MPI_ALONE
NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")


def start(runtime: Runtime) -> Accelerator:
    """Fix the threads, ask for deterministic kernels, and choose the device.

    accelerate does not handle precision; `src.core.speed.half_precision` does.

    Raises:
        UserError: this machine lacks runtime.device, or the environment has only some of a launcher's variables.
    """
    _check_launch()
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    keep_and_enlarge_pages()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    kind = device_type(runtime)
    torch.use_deterministic_algorithms(True, warn_only=not reruns_are_equal(kind))
    torch.set_float32_matmul_precision("high" if precision_of(runtime) == "tf32" else "highest")
    # Filling memory takes a sixth of a CPU step, and nothing here reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # ty: ignore[missing-attribute]
    # Without cpu=True, accelerate does not join several processes on a machine without a GPU.
    return Accelerator(cpu=kind == "cpu", mixed_precision="no")


def _check_launch() -> None:
    """Refuse an environment with only some of the variables that a launcher of several processes sets.

    With one left over from elsewhere, torch would miss the others or wait for processes that never start.
    """
    if not (found := [name for name, alone in ALONE.items() if os.environ.get(name, alone) != alone]):
        return
    allowed = f"unset {found[0]}, or start several processes with `accelerate launch` or `torchrun`"
    for name in (*NUMBERS, "MASTER_ADDR") if MPI_ALONE.keys().isdisjoint(found) else ["MASTER_ADDR"]:
        value = os.environ.get(name)
        if not value:
            raise UserError(
                found[0], f"is set in the environment, but {name}, which launchers also set, is not", allowed
            )
        if name in NUMBERS and not value.isdecimal():
            raise UserError(name, f"is {value!r:.100} in the environment, which is not a number", allowed)


def environment(accelerator: Accelerator, runtime: Runtime) -> dict[str, str | int]:
    """Everything besides code and params that can change the last bits of a result.

    `cuda_graphs` and `variables` are present only if they are in use, `bf16_instructions` only for bf16 on a CPU.
    """
    libraries = (accelerate, np, tokenizers, torch, transformers)
    variables = arithmetic_variables()
    without = "emulated" if emulates_bf16() else "none"
    return {
        "device": device_name(accelerator.device.type),
        "precision": precision_of(runtime),
        **({"bf16_instructions": bf16_instructions() or without} if rounds_on_cpu(runtime) else {}),
        **({"cuda_graphs": True} if uses_cuda_graphs(runtime) else {}),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{library.__name__: library.__version__ for library in libraries},
        **({"variables": variables} if variables else {}),
    }


def arithmetic_variables() -> str:
    """The set variables with a prefix of `ARITHMETIC`, as NAME=value in the order of their names."""
    found = {name: value for name, value in os.environ.items() if name.startswith(ARITHMETIC) and name not in THREADS}
    return " ".join(f"{name}={value}" for name, value in sorted(found.items()) if value != DEFAULTS.get(name))
