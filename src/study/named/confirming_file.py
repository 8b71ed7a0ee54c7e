"""The file of a confirming study, made from a finished choosing study (see `src.study.named.confirming`)."""

from collections.abc import Iterator
from pathlib import Path

from src.params import PARAMS_FILE, MoreSeeds, check_params
from src.params.reading import parse_yaml, yaml_text
from src.study import STUDIES_FOLDER, study_file
from src.study.claims.families import Chosen, Scores
from src.study.named.confirming import NONE, Content, chosen_on_tasks, confirming_content
from src.study.named.overrides import (
    INCLUDE,
    base_content,
    checked_content,
    difference,
    study_content,
    study_overrides,
    with_overrides,
)
from src.study.named.workspace import check_unchanged
from src.system.errors import UserError
from src.system.files import new_file


def write_confirming_study(
    study: str,
    name: str,
    seeds: list[int],
    more_seeds: MoreSeeds = NONE,
    params_file: Path = PARAMS_FILE,
    folder: Path = STUDIES_FOLDER,
) -> tuple[Path, list[str]]:
    """Write studies/<name>/study.yaml from the records of a finished study, without reading their test labels.

    Returns:
        The file, and what it leaves out of the choosing study: comparisons within one family.

    Raises:
        UserError: the file exists or params.yaml has the study's name, the study is not finished or has no families, or
            a seed is not fresh.
    """
    path = study_file(name, folder)
    if path.exists():
        raise UserError(path, "exists already", "choose another name, or delete it")
    if base_content(params_file).get("study") == name:
        raise UserError("--name", f"{name} is the study of the committed {params_file}", "choose another name")
    check_unchanged(params_file, folder)
    content = study_content(study, params_file, folder)
    params = check_params(params_file, content)
    chosen, scores = chosen_on_tasks(params)
    made, left_out = confirming_content(content, params, chosen, seeds, more_seeds)
    made["study"] = name
    base = base_content(params_file)
    # Families without trials stay, so that the file does not list them as left out.
    families = base.get("evaluate", {}).get("families", {})
    made["evaluate"]["families"] = {role: trials for role, trials in families.items() if not trials}
    parts = {} if base.get("study") == study else _parts_of(study, folder)
    overrides = parts | difference(with_overrides(base, parts, path, folder), made)
    del overrides["study"]  # the folder's name
    told = [f"# Made by: {_command(study, name, seeds, more_seeds)}", *_choices(chosen, scores)]
    text = "\n".join(told) + "\n\n" + yaml_text(overrides)
    written = {"study": name} | parse_yaml(path, text.encode())
    checked_content(path, with_overrides(base, written, path, folder))
    with new_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path, left_out


def _parts_of(study: str, folder: Path) -> Content:
    """The key of a study's file that lists the parts it includes, if it has one."""
    return {key: value for key, value in study_overrides(study, folder).items() if key == INCLUDE}


def _command(study: str, name: str, seeds: list[int], more_seeds: MoreSeeds) -> str:
    command = ["python", "-m", "stages.confirm", "--study", study, "--name", name, "--seeds", *map(str, seeds)]
    if more_seeds != NONE:
        command += ["--more-tasks", *more_seeds.tasks, "--more-seeds", *map(str, more_seeds.seeds)]
    return " ".join(command)


def _choices(chosen: dict[str, Chosen], scores: dict[str, Scores]) -> Iterator[str]:
    """Comments with the trial that stands for each family, and its score."""
    yield "# Chosen by the mean score on selection rows, task by task:"
    for task, of_task in chosen.items():
        for (role, family), arm in of_task.items():
            yield f"#   {task}: {role} {family} is {arm} ({scores[task][role, arm]:.4f})"
