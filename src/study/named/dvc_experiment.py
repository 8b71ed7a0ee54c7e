"""The DVC command of a named study: `dvc exp run` with a -S for each override.

DVC takes an override as text in Hydra's grammar, where quotes, brackets, `$` and many words have a meaning. So each
value is written in that grammar. DVC's own code then applies the command to a copy of params.yaml. A command whose
result differs from the study's file is refused.
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
from src.study import STUDIES_FOLDER, study_file
from src.study.named.overrides import (
    base_content,
    base_text,
    checked_content,
    difference,
    leaves,
    merged_content,
    with_study,
)
from src.system.errors import UserError


@dataclass(frozen=True)
class Experiment:
    """A named study as DVC runs it: the command for a committed workspace, and the params.yaml that it makes."""

    name: str
    command: list[str]
    params: bytes


def experiment_of(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Experiment:
    """The experiment of a study: `dvc exp run` with a -S for each override of the committed params.yaml.

    Raises:
        UserError: no such study, params.yaml with its overrides is not valid, or a -S cannot express an override.
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
        problem = f"`dvc exp run -S` cannot set {', '.join(wrong) or 'all its overrides together'}"
        raise UserError(file, problem, "set it in params.yaml, and call `dvc exp run`")
    told = [part for setting in settings for part in ("-S", setting)]
    return Experiment(study, ["dvc", "exp", "run", "--name", study, *told], params)


def _nested(path: tuple[str, ...], value: Any) -> dict:
    """Nested mappings that hold one value at a path."""
    for key in reversed(path):
        value = {key: value}
    return value


def _setting(path: tuple[str, ...], value: Any, base: dict) -> str:
    """The text after -S. DVC needs a plus to add a key or to merge a mapping, and a tilde to remove a mapping."""
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
    """The text unchanged if Hydra reads it as the same text, also in a list; otherwise the text in quotes."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # without a backslash OmegaConf would look up the name in ${...}
    try:
        taken_for = OverridesParser.create().parse_rule(f"[{text}]", "value")
    except HydraException:
        taken_for = None
    return text if taken_for == [text] else QuotedString(text, Quote.double).with_quotes()


def _is_told(setting: str, own: dict, text: bytes, base: dict) -> bool:
    """Whether DVC, given one setting alone, sets the value of the study's file."""
    found = _set_by_dvc([setting], text)
    return found is not None and parse_yaml(PARAMS_FILE, found) == merged_content(base, own)


def _set_by_dvc(settings: Iterable[str], text: bytes) -> bytes | None:
    """The bytes of params.yaml after DVC applied the settings; None if DVC refuses or cannot read its own output."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PARAMS_FILE.name
        copy.write_bytes(text)
        try:
            apply_overrides(copy, list(settings))
            read_yaml(copy)
        except (DvcException, OmegaConfBaseException, UserError):
            return None
        return copy.read_bytes()
