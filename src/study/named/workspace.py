"""params.yaml of the workspace: the check that a study may replace it, and its content while a study runs."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from src.params import PARAMS_FILE, read_yaml
from src.repository.committed import committed
from src.study import STUDIES_FOLDER, study_file
from src.study.named.experiments import experiments_named
from src.study.named.overrides import (
    base_content,
    changed_keys,
    layers,
    study_overrides,
    with_study,
)
from src.system.errors import UserError
from src.system.files import new_file


def check_unchanged(params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> None:
    """Refuse a params.yaml with changes of your own that would be lost.

    The params.yaml of an earlier study passes: the study's file or an experiment keeps its content.

    Raises:
        UserError: names the first key that is changed.
    """
    base, own = base_content(params_file), read_yaml(params_file)
    name = str(own.get("study")) if isinstance(own, dict) else ""
    of_study = with_study(base, name, folder) if study_file(name, folder).is_file() else base
    if own in (base, of_study) or _is_kept(name, params_file):
        return
    keys = changed_keys(of_study, own) if isinstance(own, dict) else ["all of it"]
    more = f" ({len(keys) - 1} more after this one)" if len(keys) > 1 else ""
    problem = f"has an uncommitted change{more}, but a study builds on the committed {params_file.name}"
    allowed = f"commit it, set it in the study's file, or undo it with `git checkout {params_file.name}`"
    raise UserError(f"{params_file}: {keys[0]}", problem, allowed)


def tell_uncommitted(name: str) -> None:
    """Warn if the study's file, or a part that it includes, has changes that are not committed to a repository here."""
    if committed(PARAMS_FILE) is None:
        return
    for file, _ in layers(study_overrides(name, STUDIES_FOLDER), study_file(name), STUDIES_FOLDER):
        if committed(file) != file.read_bytes():
            line = "has uncommitted changes; commit them, so that every clone has the same study"
            print(f"warning: {file}: {line}", file=sys.stderr)


def _is_kept(name: str, params_file: Path) -> bool:
    """Whether an experiment of that name has this params.yaml."""
    text = params_file.read_bytes()
    return any(committed(params_file, ref) == text for ref in experiments_named(name))


@contextmanager
def params_in_place(text: bytes, stays: bool = True) -> Generator[None]:
    """Put a study's params.yaml in place for the block and, if it `stays`, afterwards.

    If the block fails, the old content comes back. An edit that someone makes meanwhile stays, with a warning.
    """
    before = PARAMS_FILE.read_bytes()
    _write(text)
    try:
        yield
    except BaseException:
        _put_back(before, text)
        raise
    if not stays:
        _put_back(before, text)


def _put_back(before: bytes, text: bytes) -> None:
    if PARAMS_FILE.is_file() and PARAMS_FILE.read_bytes() == text:
        _write(before)
    else:
        line = "was changed while the study ran, and stays as it is; `make restore` restores the committed file"
        print(f"warning: {PARAMS_FILE}: {line}", file=sys.stderr)


def _write(text: bytes) -> None:
    with new_file(PARAMS_FILE) as draft:
        draft.write_bytes(text)
