"""The parts, and how long each may take."""

import importlib
import multiprocessing
import tempfile
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LIMITS = {"smoke": 120, "determinism": 90, "speed": 240, "many": 180}  # seconds


def limited(name: str, tiny: bool) -> dict[str, Any]:
    """What a part finds, in a process of its own that is ended when its time is over."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, name, tiny))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMITS[name] * (5 if tiny else 1)) else {"broken": "its time is over"}
    except EOFError:
        return {"broken": "its process ended without a word"}
    finally:
        process.terminate()
        process.join()


def _measure(pipe: Connection, name: str, tiny: bool) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        try:
            found = importlib.import_module(f"benchmarks.gpu.{name}").measure(Path(folder), tiny)
            pipe.send({key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()})
        except Exception:
            pipe.send({"broken": traceback.format_exc()[-3000:]})
