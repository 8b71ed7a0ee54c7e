"""Checkpoints of a training run: where they are, and when one is due. No checkpoint is used for another run.

    checkpoints/<task>-<role>-<arm>-<seed>-<key>-<slot>/step-<number>.pt

`key` is a hash of everything that determines the run, including its code and its pre-trained weights. After a change of
any of these the run starts anew. Two processes that train the same run at once (experiments of DVC's queue) take
different slots. Neither git nor DVC follows the folder. It is deleted when the run's results are saved.
"""

import hashlib
import json
import pickle
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import BaseFileLock
from torch import Tensor

from src.core.training_code import training_code
from src.params import CheckpointSettings
from src.runs import RunName
from src.system.errors import first_line
from src.system.files import new_file, repository_root
from src.system.locks import lock_if_free

KEPT = 2  # the newest, and the one before in case the newest is damaged
# The exceptions that zipfile and torch raise for a damaged file, depending on the place of the damage.
DAMAGE = (zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, OSError, ValueError, RuntimeError, EOFError)


def checkpoints_root() -> Path:
    """`checkpoints/` of the repository. The copies that DVC makes below .dvc for queued experiments share it."""
    return repository_root() / "checkpoints"


def run_key(settings: Any, tensors: Iterable[Tensor]) -> str:
    """A hash of what sets a run (plain values), of its tensors at the start, and of the code that trains."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(training_code().encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


class Checkpoints:
    """The checkpoints in one folder: at most `KEPT`, saved `seconds` apart.

    If saving is slow, they are farther apart, so that it takes no more than `largest_share` of the time.
    """

    def __init__(self, folder: Path, settings: CheckpointSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.saved_at = time.monotonic()
        self.last_cost = 0.0

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        apart = self.last_cost * (1 / self.settings.largest_share - 1)
        return time.monotonic() - self.saved_at >= max(self.settings.seconds, apart)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, all of it or nothing, and delete the oldest.

        Raises:
            CannotWrite: there is no room or no right to write. Earlier checkpoints stay.
        """
        began = time.monotonic()
        with new_file(self.folder / f"step-{step:09d}.pt") as draft, draft.open("wb") as file:
            torch.save(state, file)
        for old in self._paths()[KEPT:]:
            old.unlink()
        self.saved_at = time.monotonic()
        self.last_cost = self.saved_at - began

    def load(self) -> dict[str, Any] | None:
        """The newest undamaged checkpoint, with its tensors on the CPU; None if there is none."""
        for path in self._paths():
            try:
                return _read(path)
            except DAMAGE as error:
                print(f"warning: {path} is damaged and not used ({first_line(error)})", file=sys.stderr)
        return None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


@contextmanager
def checkpoints_of(
    run: RunName, key: str, settings: CheckpointSettings, accelerator: Accelerator
) -> Generator[Checkpoints]:
    """The checkpoints of a run, for the block that trains it. They are deleted unless the block raises an error."""
    name = f"{run.task}-{run.role}-{run.arm}-{run.seed}-{key[:16]}"
    lock = _lock_free_slot(checkpoints_root(), name) if accelerator.is_main_process else None
    own_folder = None if lock is None else Path(lock.lock_file).parent
    [folder] = broadcast_object_list([own_folder])  # all processes use the main one's folder
    try:
        yield Checkpoints(folder, settings)
        accelerator.wait_for_everyone()
        if lock:
            shutil.rmtree(folder)
    finally:
        if lock:
            lock.release()
            if folder.exists() and not list(folder.glob("step-*")):
                shutil.rmtree(folder)


def _lock_free_slot(root: Path, name: str) -> BaseFileLock:
    """The lock of the first slot that no living process holds."""
    slot = 0
    while (lock := lock_if_free(root / f"{name}-{slot}" / "lock")) is None:
        slot += 1
    return lock


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint after verifying the checksums of its zip file, which torch writes but ignores."""
    with zipfile.ZipFile(path) as file:
        if part := file.testzip():
            raise zipfile.BadZipFile(f"the checksum of {part} is wrong")
    return torch.load(path, map_location="cpu", weights_only=True)
