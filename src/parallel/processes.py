"""Units as processes of this machine: a `dvc repro` each, in a process group of its own."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from src.interrupts import LAUNCHER
from src.parallel.places import Place
from src.parallel.units import Unit

POLL = 0.2  # seconds


@dataclass
class Processes:
    """The engine of one machine: each place is the environment variables of a GPU, or none."""

    places: list[Place]
    running: set[int] = field(default_factory=set)  # process groups
    stopping: bool = False

    def reproduce(self, unit: Unit, folder: Path, log: Path, place: Place) -> int:
        """Run DVC in a unit's folder; its exit status, when all of it has ended."""
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", *unit.groups]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, LAUNCHER: str(os.getpid())} | place
        with log.open("wb") as file:
            how = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "stdout": file}
            process = subprocess.Popen(command, **how, stderr=subprocess.STDOUT, start_new_session=True)
            self.running.add(process.pid)
            if self.stopping:
                _signal(process.pid, signal.SIGTERM)
            status = process.wait()
            while _signal(process.pid, 0):  # a stage whose DVC is gone saves a checkpoint first
                time.sleep(POLL)
            self.running.discard(process.pid)
        return status

    def stop(self, number: int) -> None:
        """Pass a signal on to all units, which save and end."""
        self.stopping = True
        for group in list(self.running):
            _signal(group, number)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group (0: none, just ask); whether there is such a group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
