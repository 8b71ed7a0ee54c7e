"""What DVC must be told to run a named study: `dvc exp run` with a -S for each override.

DVC takes an override as text in Hydra's grammar, where quotes, brackets, `$` and many words have a meaning. So each
value is written in that grammar, and DVC's own code then says what comes of it: only a command that leads to just what
the study's file says is given.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.errors import UserError
from src.params import PARAMS_FILE, read_yaml
from src.study.overrides import STUDIES_FOLDER, checked_content, difference, merged_content, study_overrides

PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def study_arguments(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> list[str]:
    """The command that runs a named study: `dvc exp run` with a -S for all that is not so in params.yaml already.

    Raises:
        UserError: no such study, params.yaml with its overrides is not valid, or DVC cannot be told of one of them.
    """
    base, overrides = read_yaml(params_file), study_overrides(name, folder)
    file, merged = folder / f"{name}.yaml", merged_content(base, overrides)
    study = checked_content(file, merged).study
    changes = _leaves(difference(base, merged))
    settings = {_setting(path, value, base): _nested(path, value) for path, value in changes}
    if _set_by_dvc(settings, params_file) != merged:
        wrong = [
            text for text, own in settings.items() if _set_by_dvc([text], params_file) != merged_content(base, own)
        ]
        problem = f"DVC cannot be told of {', '.join(wrong) or 'all its overrides together'}"
        raise UserError(file, problem, "write it into params.yaml, and use `dvc exp run`")
    return ["dvc", "exp", "run", "--name", study, *(part for setting in settings for part in ("-S", setting))]


def write_study_params(command: list[str], params_file: Path = PARAMS_FILE) -> None:
    """Set in params.yaml what the command of `study_arguments` sets, as DVC will: twice is once."""
    apply_overrides(params_file, command[6::2])


def _leaves(content: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The path and value of everything in nested mappings, down to where a key is none of Hydra's paths, such as 2x."""
    for key, value in content.items():
        if isinstance(value, dict) and value and all(map(PLAIN_KEY.fullmatch, value)):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _nested(path: tuple[str, ...], value: Any) -> dict:
    """Mappings in each other that hold one value at a path."""
    for key in reversed(path):
        value = {key: value}
    return value


def _setting(path: tuple[str, ...], value: Any, base: dict) -> str:
    """What stands after -S. DVC sets a key that is not there yet, or below a mapping, only when a plus says so."""
    known: Any = base
    for key in path:
        known = known.get(key, ...) if isinstance(known, dict) else ...
    if value is None and isinstance(known, dict):
        return f"~{'.'.join(path)}"
    plus = "+" if known is ... or isinstance(value, dict) else ""
    return f"{plus}{'.'.join(path)}={_written(value)}"


def _written(value: Any) -> str:
    """A plain value in Hydra's grammar."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case str():
            return _written_text(value)
        case bool() | None:
            return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _written_text(text: str) -> str:
    """Text as it is where Hydra takes it for just that, also in a list, else in quotes."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # without a backslash OmegaConf would look up what ${...} names
    try:
        taken_for = OverridesParser.create().parse_rule(f"[{text}]", "value")
    except HydraException:
        taken_for = None
    return text if taken_for == [text] else QuotedString(text, Quote.double).with_quotes()


def _set_by_dvc(settings: Iterable[str], params_file: Path) -> Any:
    """The content of params.yaml once DVC has set something in a copy of it; None where DVC refuses."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(params_file, Path(folder) / "params.yaml"))
        try:
            apply_overrides(copy, list(settings))
            return read_yaml(copy)
        except (DvcException, OmegaConfBaseException, UserError):
            return None
