"""Training steps in one CUDA graph, for trials. Without a GPU nothing is captured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.ours import now

WARM_UP = 3
Step = Callable[[], None]


@dataclass(frozen=True)
class Captured:
    """A step in one CUDA graph. It keeps alive what a replay reads and writes."""

    graph: torch.cuda.CUDAGraph
    kept: Any

    def __call__(self) -> None:
        """Replay the step."""
        self.graph.replay()


def captured(step: Step, state: Callable[[], Any] = dict) -> Step:
    """A step in one CUDA graph, after a few steps on a stream of their own, as torch asks.

    Args:
        state: gives tensors that the step reads and then replaces by others.
    """
    if not torch.cuda.is_available():
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph, kept = torch.cuda.CUDAGraph(), (step, state())
    with torch.cuda.graph(graph):
        step()
    return Captured(graph, kept)


def adamw(weights: Iterable[Tensor] | list[dict[str, Any]], lr: float, device: torch.device) -> torch.optim.AdamW:
    """AdamW, such that its step can be captured on a GPU."""
    on_gpu = device.type == "cuda"
    return torch.optim.AdamW(
        weights, lr=torch.tensor(lr, device=device) if on_gpu else lr, fused=True, capturable=on_gpu
    )


def rate_of(step: Step, steps: int) -> Callable[[], float]:
    """A function that measures steps per second, over some steps. The first steps are not timed."""
    for _ in range(WARM_UP):
        step()

    def measured() -> float:
        began = now()
        for _ in range(steps):
            step()
        return steps / (now() - began)

    return measured
