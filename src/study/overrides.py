"""Named studies: small files of overrides over params.yaml, run as one DVC experiment."""

from pathlib import Path
from typing import Any

import yaml

from src.errors import UserError
from src.params import PARAMS_FILE, Params, check_params, read_yaml

STUDIES_FOLDER = Path("studies")


def study_arguments(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> list[str]:
    """The command that runs a named study: `dvc exp run` with a -S for every override.

    Raises:
        UserError: no such study, or params.yaml with its overrides is not valid.
    """
    base, overrides = read_yaml(params_file), _overrides(name, folder)
    study_params(name, params_file, folder)
    known = {key for key, _ in _leaves(base)}
    # DVC sets a key that is not there yet only when a plus says so.
    settings = [f"{'' if key in known else '+'}{key}={_written(value)}" for key, value in _leaves(overrides)]
    return ["dvc", "exp", "run", "--name", name, *(part for setting in settings for part in ("-S", setting))]


def study_params(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Params:
    """params.yaml with the overrides of a named study.

    Raises:
        UserError: no such study, or the two together are not valid.
    """
    merged = _merged(read_yaml(params_file), _overrides(name, folder))
    return check_params(folder / f"{name}.yaml", merged)


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
