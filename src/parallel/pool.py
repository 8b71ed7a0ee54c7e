"""Jobs in worker processes that import once, for machines without DVC and for runs shorter than an import.

Jobs start in the order of the list, each once the jobs that it needs are done. A job that needs a failed one does not
run. If a job fails with an error other than a `UserError`, its process ends: the fault, on a GPU for example, could
break the next job.
"""

import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from src.parallel.slots import Slot
from src.system.errors import UserError, first_line
from src.system.interrupts import LAUNCHER, Stopped
from src.system.printing import accept_any_text

Ended = Callable[[str, str | None], None]  # takes the name of a job, and the reason why it failed or None


@dataclass(frozen=True)
class Job:
    """A piece of work: `work(*arguments)` makes `name`, once all jobs in `needs` are done.

    A `short` job starts even after the time is over.
    """

    name: str
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()
    short: bool = False


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[..., object],
    slots: Sequence[Slot],
    logs: Path,
    ended: Ended,
    seconds: float | None = None,
) -> None:
    """Do the jobs, one per worker at a time.

    Args:
        work: a function of a module that the workers can import.
        slots: the environment variables of each worker.
        logs: a folder with a log per worker.
        ended: called at the end of each job.
        seconds: the time after which only short jobs start. Jobs that run then go on to their end.

    Raises:
        Stopped: a signal came, and the workers have ended.
    """
    logs.mkdir(parents=True, exist_ok=True)
    board = _Board(jobs, ended, seconds)
    threads = [
        threading.Thread(target=_employ, args=(board, work, slot, logs / f"worker-{number}.log"), daemon=True)
        for number, slot in enumerate(slots)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except Stopped:
        board.stop()
        for thread in threads:
            thread.join()
        raise


class _Board:
    """The jobs that are left, which threads share."""

    def __init__(self, jobs: Iterable[Job], ended: Ended, seconds: float | None) -> None:
        self.waiting, self.ended = list(jobs), ended
        self.unmade = {job.name for job in self.waiting}
        self.running = 0
        self.stopped = False
        self.processes: set[BaseProcess] = set()
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.changed = threading.Condition()

    def take(self) -> Job | None:
        """Wait for a job that can start, and return it; None if there will be none."""
        with self.changed:
            while self.waiting and not self.stopped:
                for job in self.waiting:
                    if self.unmade.isdisjoint(job.needs) and (job.short or not self._is_late()):
                        self.waiting.remove(job)
                        self.running += 1
                        return job
                if not self.running:
                    return None
                self.changed.wait()
            return None

    def end(self, job: Job, failure: str | None) -> None:
        """Record the end of a job. Once the board has been stopped, only the end of whole jobs is told."""
        with self.changed:
            self.running -= 1
            if failure is None:
                self.unmade.remove(job.name)
            try:
                if failure is None or not self.stopped:
                    self.ended(job.name, failure)
            finally:
                self.changed.notify_all()

    def employ(self, process: BaseProcess) -> None:
        """Start a worker, unless the board has been stopped."""
        with self.changed:
            if not self.stopped:
                process.start()
                self.processes.add(process)

    def stop(self) -> None:
        """Hand out no more jobs, and ask the workers to save and end."""
        with self.changed:
            self.stopped = True
            for process in self.processes:
                process.terminate()
            self.changed.notify_all()

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


def _employ(board: _Board, work: Callable[..., object], slot: Slot, log: Path) -> None:
    """Start one process after the other to do jobs of the board, until none is left."""
    job = board.take()
    while job is not None:
        try:
            process, ours = _started(board, work, slot, log)
        except Exception as error:  # the system allows no more processes or files, for example
            board.end(job, f"its worker cannot start: {first_line(error)}")  # the other workers take the rest
            return
        usable = True
        while job is not None and usable:
            try:
                ours.send(job.arguments)
                failure, usable = ours.recv()
            except (EOFError, OSError):
                failure, usable = "its process ended without a message", False
            board.end(job, failure)
            job = board.take()
        ours.close()
        if process.pid is not None:
            process.join()


def _started(board: _Board, work: Callable[..., object], slot: Slot, log: Path) -> tuple[BaseProcess, Connection]:
    """A worker, and our end of the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work, slot, log), daemon=True)
    try:
        board.employ(process)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def _serve(pipe: Connection, work: Callable[..., object], slot: Slot, log: Path) -> None:
    """Do the work that the pipe asks for, until its other end is closed or a job fails."""
    os.setsid()  # else a terminal's Ctrl-C comes here too, and the launcher's signal is the second, which saves nothing
    os.environ |= slot
    gc.freeze()  # imported modules stay, so the collector need not look at them
    os.environ[LAUNCHER] = str(os.getppid())  # training saves and ends when this process has ended
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    accept_any_text()
    with suppress(EOFError):
        while True:
            arguments = pipe.recv()
            try:
                work(*arguments)
            except UserError as error:
                pipe.send((f"error: {error}", True))
            except Stopped as stopped:
                print(stopped, file=sys.stderr)
                sys.exit(stopped.exit_status)
            except Exception as error:
                pipe.send((f"{type(error).__name__}: {first_line(error)}", False))
                raise
            else:
                pipe.send((None, True))
