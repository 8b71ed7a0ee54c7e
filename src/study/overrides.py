"""Named studies: small files of overrides over params.yaml, run as one DVC experiment.

An override sets a value, adds an entry, or with null in its place leaves out an entry such as an arm or a claim.

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

from src.arms import pairs_to_compare
from src.errors import UserError
from src.params import PARAMS_FILE, Params, check_params, read_yaml

STUDIES_FOLDER = Path("studies")
PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def study_arguments(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> list[str]:
    """The command that runs a named study: `dvc exp run` with a -S for all that is not so in params.yaml already.

    Raises:
        UserError: no such study, params.yaml with its overrides is not valid, or DVC cannot be told of one of them.
    """
    base, overrides = read_yaml(params_file), _overrides(name, folder)
    file, merged = folder / f"{name}.yaml", _merged(base, overrides)
    study = _checked(file, merged).study
    changes = _leaves(difference(base, merged))
    settings = {_setting(path, value, base): _nested(path, value) for path, value in changes}
    if _set_by_dvc(settings, params_file) != merged:
        wrong = [text for text, own in settings.items() if _set_by_dvc([text], params_file) != _merged(base, own)]
        problem = f"DVC cannot be told of {', '.join(wrong or settings)}"
        raise UserError(file, problem, "write it into params.yaml, and use `dvc exp run`")
    return ["dvc", "exp", "run", "--name", study, *(part for setting in settings for part in ("-S", setting))]


def write_study_params(command: list[str], params_file: Path = PARAMS_FILE) -> None:
    """Set in params.yaml what the command of `study_arguments` sets, as DVC will: twice is once."""
    apply_overrides(params_file, command[6::2])


def study_content(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> dict[str, Any]:
    """The content of params.yaml as a named study runs it; params.yaml's own study needs no file.

    Raises:
        UserError: no such study, or its file and params.yaml together are not valid.
    """
    base = read_yaml(params_file)
    own = {} if base.get("study") == name else _overrides(name, folder)
    content = _merged(base, own)
    _checked(folder / f"{name}.yaml", content)
    return content


def difference(base: dict, wanted: dict) -> dict[str, Any]:
    """The overrides that make `wanted` of `base`: the inverse of `_merged`."""
    found: dict[str, Any] = dict.fromkeys(key for key in base if key not in wanted)
    for key, value in wanted.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        if both and (below := difference(base[key], value)):
            found[key] = below
        elif not both and (key not in base or value != base[key]):
            found[key] = value
    return found


def study_params(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Params:
    """params.yaml with the overrides of a named study.

    Raises:
        UserError: no such study, or the two together are not valid.
    """
    return _checked(folder / f"{name}.yaml", _merged(read_yaml(params_file), _overrides(name, folder)))


def _checked(path: Path, merged: Any) -> Params:
    """Valid params; a misspelt arm in evaluate.pairs would else be found after all the training."""
    params = check_params(path, merged)
    pairs_to_compare(params)
    return params


def _overrides(name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(other.stem for other in folder.glob("*.yaml")))
        raise UserError(path, "no such study", f"allowed: {allowed}")
    own = read_yaml(path)
    if not isinstance(own, dict):
        raise UserError(path, "holds no overrides", "keys of params.yaml with their values")
    return {"study": name} | own


def _merged(base: dict, overrides: dict) -> dict:
    """`base` with the leaves of `overrides` set; null in the place of a mapping, such as an arm, leaves it out."""
    merged = dict(base)
    for key, value in overrides.items():
        if value is None and (key not in base or isinstance(base[key], dict)):
            merged.pop(key, None)
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            merged[key] = _merged(base[key], value) if both else value
    return merged


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
