"""Named studies: small files of overrides over params.yaml, run as one DVC experiment."""

from pathlib import Path
from typing import Any

import yaml

from src.errors import UserError
from src.params import PARAMS_FILE, check_params, read_yaml

STUDIES_FOLDER = Path("studies")


def study_arguments(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> list[str]:
    """The command that runs a named study: `dvc exp run` with a -S for every override.

    Raises:
        UserError: no such study, or params.yaml with its overrides is not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(other.stem for other in folder.glob("*.yaml")))
        raise UserError(path, "no such study", f"allowed: {allowed}")
    own = read_yaml(path)
    if not isinstance(own, dict):
        raise UserError(path, "holds no overrides", "keys of params.yaml with their values")
    overrides = {"study": name} | own
    base = read_yaml(params_file)
    check_params(path, _merged(base, overrides))
    known = {key for key, _ in _leaves(base)}
    # DVC sets a key that is not there yet only when a plus says so.
    settings = [f"{'' if key in known else '+'}{key}={_written(value)}" for key, value in _leaves(overrides)]
    return ["dvc", "exp", "run", "--name", name, *(part for setting in settings for part in ("-S", setting))]


def _merged(base: dict, overrides: dict) -> dict:
    """`base` with the leaves of `overrides` set."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _leaves(content: dict, prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and values of everything in nested mappings that is no mapping."""
    found = []
    for key, value in content.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _written(value: Any) -> str:
    """A value in one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
