"""DVC in a folder, as a process group of its own: on this machine, and on a node of a Ray cluster.

Ray sends these functions to a node as they are, with the constants that they name: they may call no other code of ours.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from src.system.interrupts import LAUNCHER

POLL = 0.2  # seconds, between two looks at a process


def start_dvc(arguments: list[str], folder: Path, log: IO[bytes], variables: Mapping[str, str]) -> subprocess.Popen:
    """Start it with more environment variables; stages that it runs save and end when this process does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, LAUNCHER: str(os.getpid()), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group (0: none, just ask); whether there is such a group of this user's."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: it has ended, and another user has its number
        return False
    return True
