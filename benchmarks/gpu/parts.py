"""The parts and their time limits."""

import importlib
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from src.system.interrupts import LAUNCHER, Stopped, raise_on_signals

REPOSITORY = Path(__file__).parent.parent.parent
RESULTS = Path(__file__).parent / "results.json"
LIMITS = {"smoke": 180, "determinism": 110, "speed": 250, "many": 300}  # seconds: without "many", nine minutes
ON_REQUEST = {"trials": 400, "stacked": 150}  # again nine minutes
ALL_LIMITS = LIMITS | ON_REQUEST
PATIENCE = 20  # seconds, for a part to end what it started


def started(
    module: str, folder: Path, options: list[str], variables: dict[str, str], **streams: Any
) -> subprocess.Popen:
    """Start a module of the repository in a folder with more environment variables. It ends when this process ends."""
    own = {"PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}", LAUNCHER: str(os.getpid())}
    environment = os.environ | own | variables
    return subprocess.Popen([sys.executable, "-m", module, *options], cwd=folder, env=environment, **streams)


def limited(name: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """The results of a part so far, each time that it has more, and at its end. It runs in its own process.

    Results have the key `broken`, with the reason, until the part has ended well.
    """
    deadline = time.monotonic() + ALL_LIMITS[name] * (5 if tiny else 1)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, name, tiny))
    process.start()
    theirs.close()
    found: dict[str, Any] = {}
    try:
        while ours.poll(max(0, deadline - time.monotonic())):
            found = ours.recv()
            yield {"broken": "it did not come to its end"} | found
        yield found | {"broken": "its time is over"}
    except EOFError:
        process.join(PATIENCE)
        yield found | ({"broken": f"its process ended with status {process.exitcode}"} if process.exitcode else {})
    finally:
        process.terminate()
        process.join(PATIENCE)
        process.kill()
        process.join()


def _measure(pipe: Connection, name: str, tiny: bool) -> None:
    found: dict[str, Any] = {}
    with suppress(Stopped), raise_on_signals(), tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        try:
            for more in importlib.import_module(f"benchmarks.gpu.{name}").measure(Path(folder), tiny):
                found |= written(more)
                pipe.send(found)
        except Exception:
            pipe.send(found | {"broken": traceback.format_exc()[-3000:]})


def written(value: Any) -> Any:
    """A result as its file has it: floats with four digits, and those that JSON lacks as text, such as "nan"."""
    if isinstance(value, dict):
        return {name: written(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [written(one) for one in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else str(value)
    return value
