"""Units side by side: one unit per slot at a time, each with its own log, on this machine or a cluster."""

import queue
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from src.parallel.slots import Slot
from src.parallel.units import UNITS_FOLDER, Unit, launchers_lock
from src.repository.dvc_needs import check_dvc_can_work
from src.system.errors import UserError, first_line
from src.system.interrupts import Stopped
from src.system.write_faults import faults_named


class Engine(Protocol):
    """An object that runs units. Several threads call its methods."""

    slots: list[Slot]

    def reproduce(self, unit: Unit, folder: Path, log: Path, slot: Slot) -> int:
        """Bring a unit up to date, leave its entries and results in `folder`, and return DVC's exit status."""

    def stop(self, number: int) -> None:
        """Pass a signal on to all units that run, and let no other unit start."""


@dataclass(frozen=True)
class Outcome:
    """The end of a unit: the copy in which it ran, and the reason if it failed."""

    unit: Unit
    folder: Path | None
    failure: str | None


@dataclass(frozen=True)
class Launcher:
    """Runs units with an engine, one per slot at a time.

    `prepare` makes the folder of a unit. The folder `logs` gets one file per unit.
    """

    engine: Engine
    prepare: Callable[[Unit], Path]
    logs: Path

    def run(self, units: list[Unit]) -> Iterator[Outcome]:
        """Yield each outcome as its unit ends. A failed unit stops no other unit.

        Raises:
            Stopped: a signal came, and all units have ended.
        """
        free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in self.engine.slots:
            free.put(slot)
        with faults_named(self.logs):
            self.logs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(self.engine.slots)) as pool:
            futures = [pool.submit(self._run_one, unit, free) for unit in units]
            try:
                yield from (future.result() for future in as_completed(futures))
            except (Stopped, GeneratorExit) as end:  # GeneratorExit: the signal came while the caller took an outcome
                self._stop(futures, end if isinstance(end, Stopped) else Stopped(signal.SIGTERM))
                raise

    def _run_one(self, unit: Unit, free: "queue.SimpleQueue[Slot]") -> Outcome:
        slot = free.get()
        try:
            folder = self.prepare(unit)
            log = self.logs / f"{unit.name}.log"
            with faults_named(log):
                status = self.engine.reproduce(unit, folder, log, slot)
            return Outcome(unit, folder, _reason(log) if status else None)
        except UserError as error:
            return Outcome(unit, None, f"error: {error}")
        except Exception as error:  # the other units keep their results
            with suppress(OSError), (self.logs / f"{unit.name}.log").open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            return Outcome(unit, None, f"{type(error).__name__}: {first_line(error)}")
        finally:
            free.put(slot)

    def _stop(self, futures: list[Future], stopped: Stopped) -> None:
        """Pass this signal and all later ones on until all units have ended."""
        for future in futures:
            future.cancel()
        pending = [future for future in futures if not future.cancelled()]
        while True:
            try:
                self.engine.stop(stopped.number)
                for future in pending:
                    future.exception()
                return
            except Stopped as again:
                stopped = again


@contextmanager
def only_launcher() -> Generator[None]:
    """Allow one launcher per repository, and wait for stages that a killed launcher left running.

    Raises:
        UserError: another launcher runs here, or DVC cannot work here.
    """
    check_dvc_can_work(Path())
    with launchers_lock():
        _wait_for_leftovers()
        yield


def _wait_for_leftovers() -> None:
    """Wait until stages of a killed launcher have saved and ended: the same runs must not start beside them."""
    folder = UNITS_FOLDER.resolve()
    seen = psutil.process_iter(["cwd", "cmdline", "name"])
    left = [process for process in seen if _is_below(process.info["cwd"], folder)]
    for process in left:
        command = " ".join(process.info["cmdline"] or [process.info["name"]])
        print(
            f"waiting for process {process.pid} ({command:.60}) in {process.info['cwd']}: a stage of a killed launcher "
            "saves and ends by itself; end any other process, or let it change to another folder",
            file=sys.stderr,
        )
    psutil.wait_procs(left)


def _is_below(place: str | None, folder: Path) -> bool:
    return place is not None and Path(place.removesuffix(" (deleted)")).is_relative_to(folder)


def _reason(log: Path) -> str:
    """The first error in a unit's log, because the stage's own line comes before DVC's; without one its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(("error: ", "ERROR: "))]
    return next(iter(errors or lines[-1:]), "it ended without a message")
