"""The work of a node of a Ray cluster on a unit. Ray sends these functions and those of `dvc_process` to the node.

A node needs the project's packages, and DVC's cache at the path that the launcher has for it. It works beside the
cache, so that another node finds the checkpoints of a lost one. The launcher sends the code with the unit.
"""

import io
import platform
import shutil
import signal
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from src.parallel.dvc_process import POLL, signal_group, start_dvc

PLACE = "units/.dvc/tmp"  # below the cache. Like all copies it lies in a `.dvc`, and checkpoints lie beside `.dvc`


def reproduce_on_node(
    place: str, sent: bytes, cache: str, linked: Sequence[str], groups: Sequence[str], keep: Sequence[str]
) -> tuple[int, bytes, bytes]:
    """Bring a unit up to date.

    Args:
        place: a name for the unit's folder that no other unit over the cache has.
        sent: its folder, as a tar file.
        cache: the folder of DVC's cache.
        linked: outputs, which DVC first checks out into the folder where the cache has them.
        groups: the stages to run.
        keep: the files and folders to send back.

    Returns:
        DVC's exit status, its log, and the files to keep as a tar file. Outputs stay in the cache.
    """
    if not Path(cache).is_dir():
        here = f"{platform.node()} does not see {cache}"
        advice = "put DVC's cache where every node sees it: dvc cache dir --local FOLDER"
        return 1, f"error: DVC's cache: {here}; {advice}\n".encode(), b""
    folder = Path(cache, PLACE, place)
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(sent)) as file:
        file.extractall(folder, filter="data")
    with (folder / "log").open("wb") as log, tempfile.TemporaryDirectory() as notes:
        status = _run_dvc(["checkout", "--allow-missing", *linked], folder, log, notes) if linked else 0
        status = status or _run_dvc(["repro", "--single-item", *groups], folder, log, notes)
    found = status, (folder / "log").read_bytes(), packed(folder, keep)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _run_dvc(arguments: list[str], folder: Path, log: IO[bytes], notes: str) -> int:
    """Run DVC in its own process group, wait until the whole group has ended, and return DVC's exit status.

    `notes` is a folder for DVC's databases, which must not be on a network disk.
    """
    process = start_dvc(arguments, folder, log, {"DVC_SITE_CACHE_DIR": notes})
    while True:
        try:
            while process.poll() is None or signal_group(process.pid, 0):
                time.sleep(POLL)  # Ray can interrupt Python, but not a system call that waits
            return process.returncode
        except KeyboardInterrupt:
            signal_group(process.pid, signal.SIGTERM)


def packed(folder: Path, parts: Sequence[str]) -> bytes:
    """The parts of a folder that exist, as a tar file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as file:
        for part in parts:
            if (folder / part).exists():
                file.add(folder / part, part)
    return target.getvalue()
