"""Restore the files that an experiment changes: params.yaml, dvc.lock, settings/ and the committed study's results.

Nothing is deleted: the replaced content goes to git's stash. Results of other studies stay in place.
"""

from pathlib import Path

from src.params import PARAMS_FILE
from src.repository.committed import git
from src.study.named.overrides import base_content
from src.system.errors import UserError


def changed_by_experiments() -> list[str]:
    """The files with uncommitted changes, among those that an experiment on the committed study changes.

    Raises:
        UserError: there is no git, or no git repository here.
    """
    study = base_content()["study"]
    places = (str(PARAMS_FILE), "dvc.lock", "settings", f"metrics/{study}", f"plots/{study}")
    found = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *places)
    if found.returncode:
        raise UserError(Path(), found.stderr.decode(errors="replace"), "run this in a git repository")
    return [line[3:] for line in found.stdout.decode().split("\0") if line]


def put_away(files: list[str]) -> None:
    """Restore the committed files, and keep their replaced content in git's stash.

    Raises:
        UserError: git refuses.
    """
    command = ("stash", "push", "--include-untracked", "--quiet", "--message", "before make restore")
    paths = "\0".join(files).encode()
    done = git(*command, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=paths)
    if done.returncode:
        raise UserError("git stash", done.stderr.decode(errors="replace"), "nothing is restored; correct this first")
