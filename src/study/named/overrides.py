"""Named studies: small files of overrides over the committed params.yaml, run as one DVC experiment.

An override sets a value, adds an entry, or with null in its place leaves out an entry such as an arm or a claim.
What stands in params.yaml of the workspace, where the last study or experiment has left its own, is no part of a study.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.params import PARAMS_FILE, Params, check_params, read_yaml
from src.params.folds import check_rounds
from src.params.reading import parse_yaml
from src.repository.committed import committed
from src.study.claims.pairs import pairs_to_compare
from src.submission.asked import check_submissions
from src.system.errors import UserError

STUDIES_FOLDER = Path("studies")
PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def base_text(params_file: Path = PARAMS_FILE) -> bytes:
    """The params.yaml that every study builds on: the committed one, or the file itself if no commit has it.

    Raises:
        UserError: there is no params.yaml.
    """
    last = committed(params_file)
    if last is None and not params_file.is_file():
        raise UserError(params_file, "not found", "run from the repository root")
    return params_file.read_bytes() if last is None else last


def base_content(params_file: Path = PARAMS_FILE) -> dict[str, Any]:
    """The content of `base_text`.

    Raises:
        UserError: it is no mapping.
    """
    content = parse_yaml(params_file, base_text(params_file))
    if not isinstance(content, dict):
        check_params(params_file, content)
    return content


def study_content(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> dict[str, Any]:
    """The content of params.yaml as a named study runs it; params.yaml's own study needs no file.

    Raises:
        UserError: no such study, or its file and params.yaml together are not valid.
    """
    content = _content_of(name, params_file, folder)
    checked_content(folder / f"{name}.yaml", content)
    return content


def study_params(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Params:
    """The same as values."""
    return checked_content(folder / f"{name}.yaml", _content_of(name, params_file, folder))


def _content_of(name: str, params_file: Path, folder: Path) -> dict[str, Any]:
    base = base_content(params_file)
    return merged_content(base, {} if base.get("study") == name else study_overrides(name, folder))


def difference(base: dict, wanted: dict) -> dict[str, Any]:
    """The overrides that make `wanted` of `base`: the inverse of `merged_content`."""
    found: dict[str, Any] = dict.fromkeys(key for key in base if key not in wanted)
    for key, value in wanted.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        if both and (below := difference(base[key], value)):
            found[key] = below
        elif not both and (key not in base or value != base[key]):
            found[key] = value
    return found


def leaves(content: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The path and value of everything in nested mappings, down to where a key is none of Hydra's paths, such as 2x."""
    for key, value in content.items():
        if isinstance(value, dict) and value and all(map(PLAIN_KEY.fullmatch, value)):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def changed_keys(base: dict, own: dict) -> list[str]:
    """The keys, such as finetune.training.lr, that differ."""
    return [".".join(path) for path, _ in leaves(difference(base, own))]


def checked_content(path: Path, merged: Any) -> Params:
    """Valid params; a misspelt arm in evaluate or submit would else be found after all the training."""
    params = check_params(path, merged)
    check_rounds(path, params)
    pairs_to_compare(params)
    check_submissions(params)
    return params


def study_overrides(name: str, folder: Path) -> dict[str, Any]:
    """What the file of a named study says; a `UserError` where there is none, or it names another study."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(other.stem for other in folder.glob("*.yaml")))
        where, problem = (path, "no such study") if name else ("NAME", "no study is named")
        raise UserError(where, problem, f"allowed: {allowed}")
    own = read_yaml(path)
    if not isinstance(own, dict):
        raise UserError(path, "holds no overrides", "keys of params.yaml with their values")
    if own.get("study", name) != name:
        problem = f"is {own['study']!r}, and a study has the name of its file"
        raise UserError(f"{path}: study", problem, "delete this key, or rename the file")
    return {"study": name} | own


def merged_content(base: dict, overrides: dict) -> dict:
    """`base` with the leaves of `overrides` set; null in the place of a mapping, such as an arm, leaves it out."""
    merged = dict(base)
    for key, value in overrides.items():
        if value is None and (key not in base or isinstance(base[key], dict)):
            merged.pop(key, None)
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            merged[key] = merged_content(base[key], value) if both else value
    return merged
