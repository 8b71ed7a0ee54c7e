"""The work of workers in tests of the pool. A module of its own imports fast."""

import os
import time
from pathlib import Path

from src.system.errors import UserError


def note(folder: str, name: str) -> None:
    """Write a file with the process and the time, or fail as the name of the job says."""
    if name == "refuses":
        raise UserError("here", "is wrong", "mend it")
    if name == "breaks":
        raise RuntimeError("broken")
    if name == "dies":
        os._exit(9)
    time.sleep(0.2)
    Path(folder, name).write_text(f"{os.getpid()} {time.monotonic()}")
