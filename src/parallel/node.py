"""What a node of a Ray cluster does for a unit. Ray sends these functions as they are, and those of `dvc_process`.

A node needs the project's packages, and to see DVC's cache where the launcher sees it; there it works, so that another
node finds the checkpoints of one that is lost. The code of a unit comes with it.
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

PLACE = "units/.dvc/tmp"  # below the cache; `.dvc` as in all copies, whose checkpoints lie beside it


def reproduce_on_node(
    name: str, sent: bytes, cache: str, linked: Sequence[str], groups: Sequence[str], keep: Sequence[str]
) -> tuple[int, bytes, bytes]:
    """Bring a unit up to date.

    Args:
        name: the unit's.
        sent: its folder, as a tar file.
        cache: the folder of DVC's cache.
        linked: outputs that are in the cache, to be put in the folder first.
        groups: the stages to run.
        keep: what to send back of the folder: files, or folders.

    Returns:
        DVC's exit status, its log, and what to keep as a tar file. Outputs are in the cache.
    """
    if not Path(cache).is_dir():
        here = f"{platform.node()} does not see {cache}"
        advice = "put DVC's cache where every node sees it: dvc cache dir --local FOLDER"
        return 1, f"error: DVC's cache: {here}; {advice}\n".encode(), b""
    folder = Path(cache, PLACE, name)
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(sent)) as file:
        file.extractall(folder, filter="data")
    with (folder / "log").open("wb") as log, tempfile.TemporaryDirectory() as notes:
        status = _run_dvc(["checkout", *linked], folder, log, notes) if linked else 0
        status = status or _run_dvc(["repro", "--single-item", *groups], folder, log, notes)
    found = status, (folder / "log").read_bytes(), packed(folder, keep)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _run_dvc(arguments: list[str], folder: Path, log: IO[bytes], notes: str) -> int:
    """Run DVC in a process group of its own; its exit status, when all of it has ended.

    `notes` is a folder for its data bases, which must not be on a network's disk.
    """
    process = start_dvc(arguments, folder, log, {"DVC_SITE_CACHE_DIR": notes})
    while True:
        try:
            while process.poll() is None or signal_group(process.pid, 0):
                time.sleep(POLL)  # Ray interrupts Python, and not a system call that waits
            return process.returncode
        except KeyboardInterrupt:
            signal_group(process.pid, signal.SIGTERM)


def packed(folder: Path, parts: Sequence[str]) -> bytes:
    """Parts of a folder, as far as they are there, as a tar file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as file:
        for part in parts:
            if (folder / part).exists():
                file.add(folder / part, part)
    return target.getvalue()
