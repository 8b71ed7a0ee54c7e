"""Checks for what DVC needs. If it is missing, one line says so before any work, where DVC prints a traceback."""

import getpass
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dvc.dirs import global_config_dir
from dvc.exceptions import DvcException

from src.system.errors import UserError, first_line
from src.system.write_faults import faults_named

TEMPLATES = ("{", "}", "%(")


def check_dvc_can_work(*folders: Path) -> None:
    """Check that the user has a name and a home, and that DVC can read the names of these folders.

    Args:
        folders: the repository or the cache in which DVC will work.

    Raises:
        UserError: the name or home is missing, or DVC would read a part of a folder's name as a template.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        problem = f"is not set, and user {os.getuid()} has no name here, which DVC needs for its folders"
        raise UserError("USER", problem, "set USER to a name") from None
    try:
        global_config_dir()
    except RuntimeError:
        problem = "is not set, and this user has no home folder, in which DVC looks for its settings"
        raise UserError("HOME", problem, "set HOME, XDG_CONFIG_HOME or DVC_GLOBAL_CONFIG_DIR to a folder") from None
    for folder in folders:
        if found := [part for part in TEMPLATES if part in str(folder.resolve())]:
            problem = f"contains {found[0]}, which DVC reads as a template"
            raise UserError(folder.resolve(), problem, "use a path without {, } and %(")


@contextmanager
def dvc_faults_named() -> Generator[None]:
    """Report in one line the errors of DVC, called as a library in the block.

    Raises:
        UserError: the repository is locked, its settings or stages cannot be read, or DVC's files cannot be written.
    """
    try:
        with faults_named(Path.cwd() / ".dvc/tmp"):
            yield
    except DvcException as error:
        raise UserError("DVC", first_line(error), "run `dvc status` for more") from None
