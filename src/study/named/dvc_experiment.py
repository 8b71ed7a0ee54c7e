"""What DVC must be told to run a named study: `dvc exp run` with a -S for each override.

DVC takes an override as text in Hydra's grammar, where quotes, brackets, `$` and many words have a meaning. So each
value is written in that grammar, and DVC's own code then says what comes of it: only a command that leads to just what
the study's file says is given.
"""

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.params import PARAMS_FILE, read_yaml
from src.params.reading import parse_yaml
from src.study.named.overrides import (
    STUDIES_FOLDER,
    base_content,
    base_text,
    checked_content,
    difference,
    leaves,
    merged_content,
    study_file,
    with_study,
)
from src.system.errors import UserError


@dataclass(frozen=True)
class Experiment:
    """A named study as DVC runs it: the command for a workspace as committed, and params.yaml as that sets it."""

    name: str
    command: list[str]
    params: bytes


def experiment_of(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Experiment:
    """`dvc exp run` with a -S for all that a study sets over the committed params.yaml.

    Raises:
        UserError: no such study, params.yaml with its overrides is not valid, or DVC cannot be told of one of them.
    """
    merged = with_study(base_content(params_file), name, folder)
    return experiment_for(merged, study_file(name, folder), params_file)


def experiment_for(merged: dict[str, Any], file: Path, params_file: Path = PARAMS_FILE) -> Experiment:
    """The same for the content that params.yaml has in a study; errors name the study's `file`."""
    text, base, study = base_text(params_file), base_content(params_file), checked_content(file, merged).study
    changes = leaves(difference(base, merged))
    settings = {_setting(path, value, base): _nested(path, value) for path, value in changes}
    params = _set_by_dvc(settings, text)
    if params is None or parse_yaml(params_file, params) != merged:
        wrong = [setting for setting, own in settings.items() if not _is_told(setting, own, text, base)]
        problem = f"DVC cannot be told of {', '.join(wrong) or 'all its overrides together'}"
        raise UserError(file, problem, "write it into params.yaml, and use `dvc exp run`")
    told = [part for setting in settings for part in ("-S", setting)]
    return Experiment(study, ["dvc", "exp", "run", "--name", study, *told], params)


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


def _is_told(setting: str, own: dict, text: bytes, base: dict) -> bool:
    """Whether one setting alone comes to what the study's file says there."""
    found = _set_by_dvc([setting], text)
    return found is not None and parse_yaml(PARAMS_FILE, found) == merged_content(base, own)


def _set_by_dvc(settings: Iterable[str], text: bytes) -> bytes | None:
    """A params.yaml once DVC has set something in it; None where DVC refuses, or cannot read what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PARAMS_FILE.name
        copy.write_bytes(text)
        try:
            apply_overrides(copy, list(settings))
            read_yaml(copy)
        except (DvcException, OmegaConfBaseException, UserError):
            return None
        return copy.read_bytes()
