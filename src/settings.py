"""What params.yaml comes to, in files for DVC to compare: a run is made anew when its own file changes.

    settings/<task>/data.json                the task's data, and how they are cut
                    teacher/<arm>.json       a run's model, objective, training and runtime
                    student/<arm>.json
                    recipe/<recipe>.json

DVC cannot depend on a key of params.yaml that may be missing, as the overrides of a task may. Defaults of the schema
are left out, so that a new key there makes no finished run stale. Stages read params.yaml itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.params import Params, RunSettings

SETTINGS_FOLDER = Path("settings")


def settings_files(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    """The path below the folder, and the content, of each file."""
    for task in params.tasks:
        yield f"{task}/data.json", _data(params, task)
        for arm in params.finetune.arms:
            yield f"{task}/teacher/{arm}.json", _run(params.teacher(task, arm))
        for arm in params.student.arms:
            yield f"{task}/student/{arm}.json", _run(params.plain_student(task, arm))
        for recipe in params.distill.recipes:
            yield f"{task}/recipe/{recipe}.json", _run(params.distilled_student(task, recipe))


def _data(params: Params, task: str) -> dict[str, Any]:
    settings = params.task(task)
    content = {"task": settings.model_dump(exclude_defaults=True, exclude={"training", "arms"})}
    content["splits"] = params.splits.model_dump(exclude_defaults=True)
    return content | ({"glue": params.glue.model_dump(exclude_defaults=True)} if settings.source == "glue" else {})


def _run(settings: RunSettings) -> dict[str, Any]:
    parts = ("model", "objective", "training", "runtime")
    return {part: getattr(settings, part).model_dump(exclude_defaults=True) for part in parts}
