"""Run a stage up to its first training step, print the time, and end the process there."""

import os
import runpy
import sys
import time


def main() -> None:
    """Run the stage that the command line names, with its options."""
    # Python has this name while it looks for a stage, and the package `stages` then imports without the garbage
    # collector.
    sys.argv[0] = "-m"
    import stages  # noqa: F401
    from src.core.training.loop import Phase

    Phase._step = _stop  # ty: ignore[invalid-assignment]
    name, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _stop(*_: object) -> None:
    """Replace the first training step: print the time and end the process."""
    print(time.time(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
