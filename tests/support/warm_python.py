"""`python -m MODULE` in forks of one process that has imported the libraries, to save a stage the time of imports.

A `python` that is first on the path sends its arguments, folder, environment and streams to this process, and exits
with the fork's status. The fork imports the project's modules from its own folder.

A signal ends the command and kills its fork. Variables that libraries read at import, such as OMP_NUM_THREADS, have no
effect. Tests of signals or of such variables use the interpreter itself.
"""

import atexit
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

LIBRARIES = (
    "accelerate",
    "altair",
    "datasets",
    "jinja2",
    "matplotlib.pyplot",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.metrics",
    "torch.distributed.launcher",
    "transformers.integrations.sdpa_attention",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
)
# pydantic asks for the module of each frame. inspect does not know these two, and searches all modules each time.
FROZEN = ("importlib._bootstrap", "importlib._bootstrap_external")
TOOLS = [Path(sys.executable).parent]  # the first folders on the path of commands in `tests/support/repository.py`
COMMAND = Path(__file__).with_name("warm_command.py")


@contextmanager
def warm_python(environment: dict[str, str] | None = None, own: Sequence[str] = ()) -> Generator[Path]:
    """Yield a folder with such a `python`, which works until the block ends.

    Args:
        environment: the environment of the imports, by default the tests' own.
        own: modules of the project to import too, for tests whose folders have no code.
    """
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        command = Path(folder, "python")
        command.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", str(COMMAND), folder])} "$@"\n')
        command.chmod(0o755)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        server = subprocess.Popen([sys.executable, __file__, folder, *own], env=environment, **pipes)
        try:
            assert server.stdout.readline() == b"ready\n"
            yield Path(folder)
        finally:
            server.communicate()  # it ends as its stdin does


def serve(folder: str, *own: str) -> None:
    """Fork once per command, until stdin ends."""
    for module in (*LIBRARIES, *own):
        importlib.import_module(module)
    gc.freeze()  # the forks share these objects
    sys.executable = f"{folder}/python"  # what a fork starts is warm too
    sys.dont_write_bytecode, sys.pycache_prefix = False, f"{folder}/pycache"  # the forks of one clone share it too
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/server")
        server.listen()
        print("ready", flush=True)
        forks = set()
        while server in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            forks = {fork for fork in forks if os.waitpid(fork, os.WNOHANG) == (0, 0)} | {os.fork()}
            if 0 in forks:
                server.close()
                return answer(connection)
            connection.close()
    for fork in forks:
        os.waitpid(fork, 0)


def answer(connection: socket.socket) -> None:
    """Run a module in a fork of this process, and send its exit status. If the command ends first, kill the fork."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    asked = json.loads(connection.makefile("rb").readline())
    child = os.fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        return run_module(*asked)
    ended = Event()
    Thread(target=kill_with, args=(connection, child, ended), daemon=True).start()
    _, status = os.waitpid(child, 0)
    ended.set()
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def kill_with(connection: socket.socket, child: int, ended: Event) -> None:
    """Kill a process that is still running when the other side closes the connection."""
    connection.recv(1)
    if not ended.is_set():
        os.kill(child, signal.SIGKILL)


def run_module(arguments: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """Run a module like `python -m`, without the half second that an interpreter needs to shut down."""
    os.chdir(folder)
    for name in FROZEN:
        inspect.modulesbyfile[str(Path(folder, f"<frozen {name}>"))] = name
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    module, *sys.argv[1:] = arguments
    sys.argv[0] = "-m"
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    status = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(*sys.argv[1:])
