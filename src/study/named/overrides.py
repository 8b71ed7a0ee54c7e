"""Named studies: small files of overrides over the committed params.yaml, run as one DVC experiment.

An override sets a value or adds an entry. The value null removes an entry, such as an arm or a claim. A file may
include parts, which are files of overrides that several studies share. A study ignores uncommitted changes of
params.yaml, which the last study or experiment may have left there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.params import PARAMS_FILE, Params, check_params, read_yaml
from src.params.folds import check_rounds
from src.params.reading import commented_content, parse_yaml, yaml_text
from src.params.runs import Training
from src.repository.committed import committed
from src.study import STUDIES_FOLDER, study_file
from src.study.claims.pairs import pairs_to_compare
from src.submission.asked import check_submissions
from src.system.errors import UserError

PARTS = "parts"  # the folder in studies/ that holds shared parts
INCLUDE = "include"  # the key of a study's file that lists its parts
# The keys whose null differs from the value that they have when they are absent: from the schema's default, or in an
# arm and in a task's `training` from that of the section.
NULL_IS_A_VALUE = {"test_split", *filter(Training.may_be_null, Training.model_fields)}
READ_BY_DVC = ("submit", "distill.matched", "distill.calibrated", "distill.mapped")  # the schema lets them be absent


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
    checked_content(study_file(name, folder), content)
    return content


def study_params(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> Params:
    """The same as values."""
    return checked_content(study_file(name, folder), _content_of(name, params_file, folder))


def study_text(name: str, params_file: Path = PARAMS_FILE, folder: Path = STUDIES_FOLDER) -> bytes:
    """The text of params.yaml for a named study. It keeps the committed comments if the YAML stays valid.

    Raises:
        UserError: no such study, or its file and params.yaml together are not valid.
    """
    content, text = study_content(name, params_file, folder), base_text(params_file)
    if parse_yaml(params_file, text) == content:
        return text
    commented = yaml_text(with_study(commented_content(text), name, folder))
    try:
        if parse_yaml(params_file, commented.encode()) == content:
            return commented.encode()
    except UserError:  # ruamel.yaml may misplace a comment where a mapping has lost its last entry
        pass
    return yaml_text(content).encode()


def _content_of(name: str, params_file: Path, folder: Path) -> dict[str, Any]:
    base = base_content(params_file)
    return base if base.get("study") == name else with_study(base, name, folder)


def with_study(base: dict, name: str, folder: Path = STUDIES_FOLDER) -> dict[str, Any]:
    """`base` with the parts of a named study set, in order, and then its own overrides.

    Raises:
        UserError: there is no such study, its file names another study, or a part cannot be included.
    """
    return with_overrides(base, study_overrides(name, folder), study_file(name, folder), folder)


def with_overrides(base: dict, overrides: dict, path: Path, folder: Path) -> dict[str, Any]:
    """The same for the overrides of the file `path`."""
    for _, own in layers(overrides, path, folder):
        base = merged_content(base, own)
    return base


def layers(
    overrides: dict, path: Path, folder: Path, above: tuple[str, ...] = ()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The files that a file of overrides consists of, parts first, each with its own overrides.

    Args:
        above: the parts that lead to this file.
    """
    for part in _included(overrides, path, folder):
        if part in above:
            raise UserError(f"{path}: {INCLUDE}", f"{part!r} includes itself", f"delete {part!r} from this list")
        file = folder / PARTS / f"{part}.yaml"
        yield from layers(_overrides_in(file), file, folder, (*above, part))
    yield path, {key: value for key, value in overrides.items() if key != INCLUDE}


def _included(overrides: dict, path: Path, folder: Path) -> list[str]:
    """The names of the parts that a file of overrides includes.

    Raises:
        UserError: it includes something else than a list of names of files in studies/parts/.
    """
    parts, where = overrides.get(INCLUDE, []), f"{path}: {INCLUDE}"
    known = sorted(file.stem for file in (folder / PARTS).glob("*.yaml"))
    allowed = f"allowed: {', '.join(known) or 'none'}"
    if not isinstance(parts, list):
        raise UserError(where, f"is {parts!r}", f"write a list of parts; {allowed}")
    for part in parts:
        if part not in known:
            raise UserError(where, f"no such part {part!r}", allowed)
    return parts


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
    """The path and value of every leaf of nested mappings."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def changed_keys(base: dict, own: dict) -> list[str]:
    """The keys, such as finetune.training.lr, that differ."""
    return [".".join(path) for path, _ in leaves(difference(base, own))]


def checked_content(path: Path, merged: Any) -> Params:
    """Valid params; a misspelt arm in evaluate or submit would else be found after all the training."""
    params = check_params(path, merged)
    _check_keys_of_dvc(path, merged)
    check_rounds(path, params)
    pairs_to_compare(params, path)
    check_submissions(params, path)
    return params


def _check_keys_of_dvc(path: Path, merged: dict[str, Any]) -> None:
    """Check that the lists are there over which dvc.yaml goes; DVC would only say that it cannot find one."""
    for name in READ_BY_DVC:
        section, _, key = name.rpartition(".")
        if key not in (merged[section] if section else merged):
            raise UserError(f"{path}: {name}", "is missing, and dvc.yaml reads it", f"write {key}: []")


def study_overrides(name: str, folder: Path) -> dict[str, Any]:
    """The content of a named study's file.

    Raises:
        UserError: there is no such file, or it names another study.
    """
    path = study_file(name, folder)
    if not path.is_file():
        allowed = ", ".join(sorted(other.parent.name for other in folder.glob("*/study.yaml")))
        where, problem = (path, "no such study") if name else ("NAME", "no study is named")
        raise UserError(where, problem, f"allowed: {allowed}")
    own = _overrides_in(path)
    if own.get("study", name) != name:
        problem = f"is {own['study']!r}, and a study has the name of its folder"
        raise UserError(f"{path}: study", problem, "delete this key, or rename the folder")
    return {"study": name} | own


def _overrides_in(path: Path) -> dict[str, Any]:
    own = read_yaml(path)
    if not isinstance(own, dict):
        raise UserError(path, "holds no overrides", "write keys of params.yaml with their values")
    return own


def merged_content(base: dict, overrides: dict) -> dict:
    """`base` with the leaves of `overrides` set; null in the place of a mapping, such as an arm, leaves it out."""
    merged = base.copy()
    for key, value in overrides.items():
        absent = key not in base and key not in NULL_IS_A_VALUE
        if value is None and (absent or isinstance(base.get(key), dict)):
            merged.pop(key, None)
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            merged[key] = merged_content(base[key], value) if both else value
    return merged
