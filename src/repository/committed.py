"""Files as a commit has them, without regard to the workspace."""

import os
import shutil
import subprocess
from pathlib import Path

from src.system.errors import UserError

NOT_THERE = ("not a git repository", "invalid object name", "does not exist in", "exists on disk, but not in")


def committed(path: Path, revision: str = "HEAD") -> bytes | None:
    """A file's bytes in a commit; None without git, outside a repository, or if the commit lacks the file.

    Raises:
        UserError: git refuses, as in a repository that another user owns.
    """
    if shutil.which("git") is None:
        return None
    folder = next(folder for folder in path.parents if folder.is_dir())  # the file's own folder may have been deleted
    found = git("show", f"{revision}:./{path.relative_to(folder).as_posix()}", folder=folder)
    if found.returncode == 0:
        return found.stdout
    said = found.stderr.decode(errors="replace").strip()
    if any(words in said for words in NOT_THERE):
        return None
    raise UserError(path, f"git cannot read the commit ({said.partition(chr(10))[0]})", "run `git status`")


def commit() -> str:
    """The commit that is checked out, followed by "-dirty" if files differ from it.

    "unknown" without git, or outside a repository.
    """
    if shutil.which("git") is None:
        return "unknown"
    found = git("describe", "--always", "--dirty", "--abbrev=7", "--exclude=*")
    return found.stdout.decode().strip() or "unknown"


def git(*arguments: str, folder: Path = Path(), stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git with messages in English.

    Raises:
        UserError: git is not installed.
    """
    if shutil.which("git") is None:
        raise UserError("git", "is not on the path", "install it")
    environment = os.environ | {"LC_ALL": "C"}
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
