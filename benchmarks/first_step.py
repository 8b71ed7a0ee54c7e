"""Run a stage up to its first training step, print the time, and end the process there."""

import os
import runpy
import sys
import time

from src.core.training.phase import Phase


def stop(*_: object) -> None:
    """Stand in for the first step."""
    print(time.time(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    Phase._step = stop  # ty: ignore[invalid-assignment]
    name, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
