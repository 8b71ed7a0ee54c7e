"""Named studies: small files of overrides over params.yaml, run as one DVC experiment.

An override sets a value, adds an entry, or with null in its place leaves out an entry such as an arm or a claim.
"""

from pathlib import Path
from typing import Any

from src.errors import UserError
from src.params import PARAMS_FILE, Params, check_params, read_yaml
from src.study.pairs import pairs_to_compare
from src.submission.asked import check_submissions

STUDIES_FOLDER = Path("studies")


def study_content(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> dict[str, Any]:
    """The content of params.yaml as a named study runs it; params.yaml's own study needs no file.

    Raises:
        UserError: no such study, or its file and params.yaml together are not valid.
    """
    base = read_yaml(params_file)
    own = {} if base.get("study") == name else study_overrides(name, folder)
    content = merged_content(base, own)
    checked_content(folder / f"{name}.yaml", content)
    return content


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


def study_params(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Params:
    """params.yaml with the overrides of a named study.

    Raises:
        UserError: no such study, or the two together are not valid.
    """
    return checked_content(
        folder / f"{name}.yaml", merged_content(read_yaml(params_file), study_overrides(name, folder))
    )


def checked_content(path: Path, merged: Any) -> Params:
    """Valid params; a misspelt arm in evaluate or submit would else be found after all the training."""
    params = check_params(path, merged)
    pairs_to_compare(params)
    check_submissions(params)
    return params


def study_overrides(name: str, folder: Path) -> dict[str, Any]:
    """What the file of a named study says; a `UserError` where there is none."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(other.stem for other in folder.glob("*.yaml")))
        raise UserError(path, "no such study", f"allowed: {allowed}")
    own = read_yaml(path)
    if not isinstance(own, dict):
        raise UserError(path, "holds no overrides", "keys of params.yaml with their values")
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
