"""What workers do in tests of the pool: a module of its own, which imports in no time."""

import os
import time
from pathlib import Path

from src.system.errors import UserError


def note(folder: str, name: str) -> None:
    """What a worker does: leave a file that holds its process and the time, or fail as its name says."""
    if name == "refuses":
        raise UserError("here", "is wrong", "mend it")
    if name == "breaks":
        raise RuntimeError("broken")
    if name == "dies":
        os._exit(9)
    time.sleep(0.2)
    Path(folder, name).write_text(f"{os.getpid()} {time.monotonic()}")
