"""A Ray cluster of two nodes on this machine, each a `ray start` in a folder of its own, with one CPU."""

import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.repository import run


@contextmanager
def two_nodes(first: Path, second: Path) -> Generator[str]:
    """Start both nodes; yield the address of the cluster. `make ray` installs Ray."""
    address = f"127.0.0.1:{_free_port()}"
    try:
        head = ("--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false")
        for folder, options in ((first, head), (second, (f"--address={address}",))):
            run(folder, "ray", "start", *options, "--num-cpus=1", "--num-gpus=0", "--disable-usage-stats")
        yield address
    finally:
        for node in (second, first):
            kill_node(node)


def kill_node(folder: Path) -> None:
    """Kill all processes of Ray in a folder, as the loss of a machine would."""
    for process in psutil.process_iter(["cwd", "cmdline"]):
        if process.info["cwd"] == str(folder) and any("ray" in part for part in process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
