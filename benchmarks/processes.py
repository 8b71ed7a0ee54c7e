"""Contenders in their own processes, measured in turns.

`environment.start` changes the memory allocator and the kernels of a whole process, and a peer must not inherit these.
So each contender has its own process. Between its turns it waits and uses no CPU.
"""

import io
import multiprocessing
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

Prepare = Callable[..., Callable[[], Any]]


@contextmanager
def contenders(prepares: Mapping[str, tuple[Any, ...]], gpu: bool = False) -> Generator[dict[str, Callable[[], Any]]]:
    """Start one process for each name, and yield functions that measure there, by name, once all are ready.

    Args:
        prepares: for each name a module-level function and its arguments. It returns a function that measures.
        gpu: whether the processes see a GPU. Without one they run in fp32.

    Raises:
        RuntimeError: a process broke.
    """
    environment = {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
    with ExitStack() as stack, mock.patch.dict(os.environ, environment):
        pipes = {name: stack.enter_context(_process(*prepare)) for name, prepare in prepares.items()}
        for pipe in pipes.values():
            _answer(pipe)
        yield {name: partial(_measured, pipe) for name, pipe in pipes.items()}


def in_turns(measures: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Measure all contenders once per round, so that a change of the machine's load affects all of them."""
    found: dict[str, list[Any]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def ratios(numerators: list[float], denominators: list[float]) -> list[float]:
    """The ratio of each round."""
    return [one / other for one, other in zip(numerators, denominators, strict=True)]


@contextmanager
def _process(prepare: Prepare, *arguments: Any) -> Generator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    except BaseException:
        process.terminate()  # it may be in the middle of a measurement
        raise
    finally:
        ours.close()
        process.join()


def _measured(pipe: Connection) -> Any:
    pipe.send("measure")
    return _answer(pipe)


def _answer(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a contender broke; see its error above") from None


def _serve(pipe: Connection, prepare: Prepare, arguments: tuple[Any, ...]) -> None:
    """Measure on every request until the other end is closed. Printed lines of the work are dropped."""
    with redirect_stdout(io.StringIO()):
        measure = prepare(*arguments)
        pipe.send("ready")
        with suppress(EOFError):
            while pipe.recv():
                pipe.send(measure())
