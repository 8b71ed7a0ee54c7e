"""Units side by side: as many at a time as there are slots, one log each, wherever it is that they run."""

import queue
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from src.parallel.slots import Slot
from src.parallel.unit_copy import UNITS_FOLDER
from src.parallel.units import Unit
from src.repository.dvc_needs import check_dvc_can_work
from src.system.errors import UserError
from src.system.interrupts import Stopped
from src.system.locks import lock_if_free
from src.system.write_faults import faults_named


class Engine(Protocol):
    """What carries units out; its methods are called from several threads."""

    slots: list[Slot]

    def reproduce(self, unit: Unit, folder: Path, log: Path, slot: Slot) -> int:
        """Bring a unit up to date, with its entries and results in `folder`: DVC's exit status."""

    def stop(self, number: int) -> None:
        """Pass a signal on to all that run, and to all that would begin."""


@dataclass(frozen=True)
class Outcome:
    """How a unit ended: the copy in which it ran, and the last line of its log where it failed."""

    unit: Unit
    folder: Path | None
    failure: str | None


@dataclass(frozen=True)
class Launcher:
    """Has an engine run units, as many at a time as there are slots.

    `prepare` makes the folder of a unit; logs go to `logs`, a file a unit.
    """

    engine: Engine
    prepare: Callable[[Unit], Path]
    logs: Path

    def run(self, units: list[Unit]) -> Iterator[Outcome]:
        """The outcomes, as they come; a failed unit stops no other.

        Raises:
            Stopped: a signal came, and all that ran has ended.
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
            except Stopped as stopped:
                self._stop(futures, stopped)
                raise

    def _run_one(self, unit: Unit, free: "queue.SimpleQueue[Slot]") -> Outcome:
        slot = free.get()
        try:
            folder = self.prepare(unit)
            log = self.logs / f"{unit.name}.log"
            with faults_named(log):
                status = self.engine.reproduce(unit, folder, log, slot)
            return Outcome(unit, folder, _last_line(log) if status else None)
        except UserError as error:
            return Outcome(unit, None, f"error: {error}")
        finally:
            free.put(slot)

    def _stop(self, futures: list[Future], stopped: Stopped) -> None:
        """Pass the signal on, and every further one, until all has ended."""
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
    """One launcher a repository; what one that was killed has left running ends first.

    Raises:
        UserError: another one is at work here, or DVC cannot work here.
    """
    check_dvc_can_work(Path())
    lock = lock_if_free(UNITS_FOLDER / "lock")
    if lock is None:
        raise UserError(UNITS_FOLDER, "its units are being run already", "wait for that launcher, or stop it")
    try:
        _wait_for_leftovers()
        yield
    finally:
        lock.release()


def _wait_for_leftovers() -> None:
    """Stages notice that their launcher is gone, save, and end; the same run must not begin beside them."""
    folder = UNITS_FOLDER.resolve()
    seen = psutil.process_iter(["cwd", "cmdline", "name"])
    left = [process for process in seen if _is_below(process.info["cwd"], folder)]
    for process in left:
        command = " ".join(process.info["cmdline"] or [process.info["name"]])
        print(
            f"waiting for process {process.pid} ({command:.60}) in {process.info['cwd']}: a stage that a killed "
            "launcher left there saves and ends; end any other process, or have it leave that folder",
            file=sys.stderr,
        )
    psutil.wait_procs(left)


def _is_below(place: str | None, folder: Path) -> bool:
    return place is not None and Path(place.removesuffix(" (deleted)")).is_relative_to(folder)


def _last_line(log: Path) -> str:
    """What a unit said last of what went wrong: its stage's own line rather than DVC's."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(("error: ", "ERROR: "))]
    return next(iter(errors or lines[-1:]), "it ended without a word")
