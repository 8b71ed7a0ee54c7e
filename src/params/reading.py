"""Reads and checks params.yaml. An error is one line that names the key."""

import difflib
import io
import itertools
import re
import reprlib
from collections.abc import Collection
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from src.params.folds import check_folded_tasks
from src.params.runs import RunSettings
from src.params.study import PARAMS_FILE, Params, entry
from src.params.types import Section
from src.system.errors import UserError, first_line


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate a params file.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, or a value has the wrong type or range.
    """
    return check_params(path, read_yaml(path))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, as `dvc.utils.serialize` reads it.

    Raises:
        UserError: the file is missing, is not YAML, or gives a key twice.
    """
    try:
        return parse_yaml(path, path.read_bytes())
    except FileNotFoundError:
        raise UserError(path, "not found", "run from the repository root") from None
    except OSError as error:
        raise UserError(path, f"not readable as YAML: {first_line(error)}", "see docs/params.md") from None


def parse_yaml(path: Path, text: bytes) -> Any:
    """The content of a YAML file's bytes; the message of the `UserError` names `path`."""
    allowed = "see docs/params.md"
    try:
        return YAML(typ="safe").load(text.decode("utf-8"))
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise UserError(path, f"not readable as YAML: {error.problem}{line}", allowed) from None
    except (YAMLError, ValueError, RecursionError) as error:
        # A ValueError comes from text that is not UTF-8, or from dates and numbers that Python cannot hold.
        raise UserError(path, f"not readable as YAML: {first_line(error)}", allowed) from None


def commented_content(text: bytes) -> CommentedMap:
    """The mapping in a valid YAML text, with its comments, which `yaml_text` writes again."""
    yaml = YAML()
    yaml.preserve_quotes = True
    return yaml.load(text.decode("utf-8"))


def yaml_text(content: Any, width: int = 120) -> str:
    """A YAML text that `parse_yaml` reads as the same content: texts that look like numbers are quoted."""
    stream, yaml = io.StringIO(), YAML()
    yaml.width = width
    yaml.dump(content, stream)
    return stream.getvalue()


def check_params(path: Path, content: Any) -> Params:
    """Validate the content of a params file; the message of the `UserError` names `path`."""
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise _readable(path, error) from None
    _check_references(path, params)
    _check_no_name_twice(path, params)
    check_folded_tasks(path, params)
    _check_runs(path, params)
    return params


def _check_references(path: Path, params: Params) -> None:
    """Check that names in one section exist in the section that they refer to."""
    for name in params.tasks:
        _check_known(f"{path}: tasks", f"task '{name}'", name, params.task_settings)
    baseline = params.evaluate.baseline
    _check_known(f"{path}: evaluate.baseline", f"arm '{baseline}'", baseline, params.finetune.arms)
    for one in params.distill.changed():
        for arm in one.arms.values():
            entry(params.finetune.arms, f"finetune.arms (for distill.{one.key})", arm, path)
    for name in params.more_seeds.tasks:
        _check_known(f"{path}: more_seeds.tasks", f"'{name}'", name, params.tasks)
    _check_task_arms(path, params)


def _check_known(where: str, what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UserError(where, f"unknown {what}", f"allowed: {', '.join(known)}")


def _check_no_name_twice(path: Path, params: Params) -> None:
    lists: dict[str, list[Any]] = {
        "tasks": params.tasks,
        "distill.matched": params.distill.matched,
        "distill.calibrated": params.distill.calibrated,
        "more_seeds.tasks": params.more_seeds.tasks,
        "seeds": params.seeds,
        "submit": [(asked.role, asked.arm) for asked in params.submit],
        "seeds and more_seeds.seeds": params.seeds + params.more_seeds.seeds,
    }
    for key, values in lists.items():
        if len(set(values)) < len(values):
            raise UserError(f"{path}: {key}", "holds a value twice", "name each value once")
    teachers = [*params.finetune.arms, *(one.name for one in params.distill.changed())]
    if twice := [name for name in teachers if teachers.count(name) > 1]:
        problem = f"two teachers have the name {twice[0]}"
        allowed = "give one of them another name in finetune.arms or distill.mapped"
        raise UserError(f"{path}: finetune.arms, distill", problem, allowed)


def _check_task_arms(path: Path, params: Params) -> None:
    """Check that the arms and recipes that a task overrides exist."""
    known = {"teacher": params.finetune.arms, "student": params.student.arms, "recipe": params.distill.recipes}
    for task, settings in params.task_settings.items():
        for kind, entries in known.items():
            for name in getattr(settings.arms, kind):
                _check_known(f"{path}: task_settings.{task}.arms.{kind}", f"{kind} '{name}'", name, entries)


def _check_runs(path: Path, params: Params) -> None:
    """Check that the overrides of each arm, and of each task for it, fit the defaults that they leave."""
    groups = {
        ("finetune.arms", "teacher"): (params.teacher, params.finetune.arms),
        ("student.arms", "student"): (params.plain_student, params.student.arms),
        ("distill.recipes", "recipe"): (params.distilled_student, params.distill.recipes),
    }
    for (key, kind), (settings, arms) in groups.items():
        for task, arm in itertools.product(params.tasks, arms):
            of_task = arm in getattr(params.task(task).arms, kind)
            place = f"task_settings.{task}.arms.{kind}.{arm}" if of_task else f"{key}.{arm}"
            try:
                run = settings(task, arm)
            except ValidationError as error:
                problem = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise UserError(f"{path}: {place}", problem, f"see {error.title.lower()} in params.yaml") from None
            _check_run(f"{path}: {place}", run)
            if kind == "recipe":
                _check_transfer(f"{path}: {place}", params, task, run)


def _check_run(where: str, run: RunSettings) -> None:
    """Check that the loss of a run trains its head, and that the weights of its teacher will be there."""
    if not (run.objective.learns_labels or run.training.head_epochs):
        problem = "the loss does not train the head (label_weight is 0, or contrastive_weight is 1)"
        raise UserError(where, problem, "set training.head_epochs to 1 or more")
    if run.objective.relation_weight and not run.runtime.keep_weights:
        problem = "relation_weight needs the weights of the teachers, but runtime.keep_weights is false"
        raise UserError(where, problem, "set runtime.keep_weights to true")


def _check_transfer(where: str, params: Params, task: str, run: RunSettings) -> None:
    """Check that a student that learns from transfer rows has some; `prepare` checks that the data has them."""
    if run.objective.transfer and not params.task(task).max_rows.transfer:
        problem = f"transfer is true, but task_settings.{task}.max_rows.transfer is 0"
        raise UserError(where, problem, "set that key above 0, or transfer to false")


def _readable(path: Path, error: ValidationError) -> UserError:
    """One fault in one line, with the number of the others.

    An unknown key goes first, because a misspelt key is also reported as missing.
    """
    faults = error.errors(include_url=False, include_context=False)
    first, *others = sorted(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or "(top level)"
    more = f" ({len(others)} more after this one)" if others else ""
    if first["type"] == "extra_forbidden":
        return UserError(f"{path}: {key}", "unknown key", f"allowed: {_siblings(first['loc'])}{more}")
    if first["type"] == "missing":
        return UserError(f"{path}: {key}", "missing", f"add it; docs/params.md lists every key{more}")
    message = re.sub("^(Input|String) should", "it should", first["msg"].removeprefix("Value error, "))
    return UserError(f"{path}: {key}", f"not acceptable (got {_shown(first['input'])})", f"{message}{more}")


def _shown(value: Any) -> str:
    """A value in at most 60 characters. It is not written out first: with YAML's aliases a small file can be huge."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    try:
        return f"{short.repr(value):.60}"
    except ValueError:  # Python writes no number with more than 4300 digits
        return "a number with too many digits"


def _siblings(location: tuple[int | str, ...]) -> str:
    """The keys allowed beside an unknown one, the nearest spelling first."""
    section: Any = Params
    for part in location[:-1]:
        section = _section_below(section, part)
    names = list(section.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return ", ".join(near + [name for name in names if name not in near])


def _section_below(section: Any, part: int | str) -> Any:
    """The type below one step of a key path: a section's field without its null, or a mapping's entry."""
    if isinstance(section, type) and issubclass(section, Section):
        below = section.model_fields[str(part)].annotation
        return next(kind for kind in get_args(below) if kind is not NoneType) if isinstance(below, UnionType) else below
    return get_args(section)[-1]
