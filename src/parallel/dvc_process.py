"""DVC in a folder, as a process group of its own, on this machine or on a node of a Ray cluster.

Ray sends these functions to a node with the constants that they name, so they may call no other code of the project.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from src.system.interrupts import LAUNCHER

POLL = 0.2  # seconds between two checks of a process


def start_dvc(arguments: list[str], folder: Path, log: IO[bytes], variables: Mapping[str, str]) -> subprocess.Popen:
    """Start DVC with additional environment variables. Its stages save and end when this process ends."""
    environment = {**own_tools(), LAUNCHER: str(os.getpid()), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def own_tools() -> dict[str, str]:
    """The environment with this interpreter's folder first on the path, because stages run `python`."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group and return whether this user has such a group. 0 sends no signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: the group ended, and another user's has its id
        return False
    return True
