"""Sources of randomness: a seed for each use, and the state of every generator for checkpoints."""

import random
from typing import Any

import numpy as np
import torch

STREAMS = {"head": 0, "order": 1, "dropout": 2, "rows": 3}


def stream_seed(seed: int, stream: str, *more: int) -> int:
    """A seed for one use of randomness. No two uses share a random sequence."""
    return int(np.random.SeedSequence([seed, STREAMS[stream], *more]).generate_state(1, np.uint64)[0] >> 1)


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of the global generators of Python, NumPy, torch and the device, in plain values."""
    of_numpy = np.random.get_state(legacy=False)
    twister = {name: value.tolist() if name == "key" else value for name, value in of_numpy["state"].items()}
    states = {"python": random.getstate(), "numpy": of_numpy | {"state": twister}, "cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Set every generator to the state in `states`, as `random_states` returns it."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"].cpu())
    if "device" in states:
        torch.get_device_module(device).set_rng_state(states["device"].cpu())
