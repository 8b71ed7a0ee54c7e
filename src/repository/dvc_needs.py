"""What DVC needs and says badly where it is missing: one line, before any work."""

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
    """Check the user's home and name, and the names of folders in which DVC is to work: of a repository, of a cache.

    Raises:
        UserError: there is none, or DVC would take a part of a name for a place to fill in.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # as of Python 3.13 the latter
        problem = f"is not set, and user {os.getuid()} has no name here: DVC names its own folders by it"
        raise UserError("USER", problem, "set USER to a name") from None
    try:
        global_config_dir()
    except RuntimeError:
        problem = "is not set, and this user has no home folder: DVC looks for its settings there"
        raise UserError("HOME", problem, "set HOME, XDG_CONFIG_HOME or DVC_GLOBAL_CONFIG_DIR to a folder") from None
    for folder in folders:
        if found := [part for part in TEMPLATES if part in str(folder.resolve())]:
            problem = f"holds {found[0]}, which DVC takes for a place to fill in"
            raise UserError(folder.resolve(), problem, "a path without {, } and %(")


@contextmanager
def dvc_faults_named() -> Generator[None]:
    """Say in one line what DVC, called as a library, finds wrong with the repository.

    Raises:
        UserError: it is locked, or its settings or stages cannot be read; or DVC's files cannot be written.
    """
    try:
        with faults_named(Path.cwd() / ".dvc/tmp"):
            yield
    except DvcException as error:
        raise UserError("DVC", first_line(error), "see what `dvc status` says") from None
