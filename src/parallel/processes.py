"""Units as processes of this machine: one `dvc repro` per unit, each in its own process group."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from src.parallel.dvc_process import POLL, signal_group, start_dvc
from src.parallel.slots import Slot
from src.parallel.units import Unit


@dataclass
class LocalProcesses:
    """The engine of one machine. A slot has the environment variables of a GPU, or none."""

    slots: list[Slot]
    running: set[int] = field(default_factory=set)  # process groups
    stopping: bool = False

    def reproduce(self, unit: Unit, folder: Path, log: Path, slot: Slot) -> int:
        """Run DVC in a unit's folder, wait until its whole process group has ended, and return its exit status."""
        with log.open("wb") as file:
            process = start_dvc(["repro", "--single-item", *unit.groups], folder, file, slot)
            self.running.add(process.pid)
            if self.stopping:
                signal_group(process.pid, signal.SIGTERM)
            status = process.wait()
            while signal_group(process.pid, 0):  # a stage whose DVC has ended first saves a checkpoint
                time.sleep(POLL)
            self.running.discard(process.pid)
        return status

    def stop(self, number: int) -> None:
        """Pass a signal on to all units, which then save and end."""
        self.stopping = True
        for group in list(self.running):
            signal_group(group, number)
