"""Files as a commit has them, whatever stands in the workspace."""

import os
import shutil
import subprocess
from pathlib import Path

from src.system.errors import UserError

NOT_THERE = ("not a git repository", "invalid object name", "does not exist in", "exists on disk, but not in")


def committed(path: Path, revision: str = "HEAD") -> bytes | None:
    """A file's bytes in a commit; None without git, outside of a repository, or where the commit lacks it.

    Raises:
        UserError: git refuses, as in a repository that another user owns.
    """
    if shutil.which("git") is None:
        return None
    folder = next(folder for folder in path.parents if folder.is_dir())  # that of the file may be gone
    found = git("show", f"{revision}:./{path.relative_to(folder).as_posix()}", folder=folder)
    if found.returncode == 0:
        return found.stdout
    said = found.stderr.decode(errors="replace").strip()
    if any(words in said for words in NOT_THERE):
        return None
    raise UserError(path, f"git cannot tell what is committed ({said.partition(chr(10))[0]})", "see `git status`")


def commit() -> str:
    """The commit that is checked out, with "-dirty" behind it where files differ from it.

    "unknown" without git, or outside of a repository.
    """
    if shutil.which("git") is None:
        return "unknown"
    found = git("describe", "--always", "--dirty", "--abbrev=7", "--exclude=*")
    return found.stdout.decode().strip() or "unknown"


def git(*arguments: str, folder: Path = Path(), stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git, whose words are then English.

    Raises:
        UserError: there is no git.
    """
    if shutil.which("git") is None:
        raise UserError("git", "is not on the path", "install it")
    environment = os.environ | {"LC_ALL": "C"}
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
