"""The resolved settings of params.yaml, in files that DVC compares: a run is repeated if its own file changes.

    settings/<task>/data.json                the task's data and its splits
                    teacher/<arm>.json       a run's model, objective, training and runtime
                    student/<arm>.json
                    recipe/<recipe>.json
                    mapped/<name>.json       a teacher that is mapped after training, if distill.mapped has any
    settings/submit.json                     GLUE's official test splits, if submit asks for predictions of them

DVC cannot depend on a key of params.yaml that may be missing, such as an override of a task. The files leave out
defaults of the schema, so a new key there makes no finished run stale. Stages read params.yaml itself.

DVC cannot depend on a folder that params.yaml names either. If data or a model lie in such a folder, the settings file
has a fingerprint of the files that are read, under `files`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from src.params import Params, RunSettings
from src.repository.committed import committed
from src.repository.fingerprints import FileHashes, kept_hashes
from src.repository.watched import Watched, watched_data, watched_model, watched_tests

SETTINGS_FOLDER = Path("settings")
Content = dict[str, Any]


def settings_files(params: Params) -> dict[Path, Content]:
    """The content of each file in settings/, by its path.

    Data and models whose folder is not on this machine keep the fingerprint of their file in settings/, or of the last
    commit. A folder without the files has no fingerprint, so the stage that reads it runs and names what is missing.

    Raises:
        UserError: a file that params.yaml names cannot be read.
    """
    with kept_hashes() as hashes:
        return {
            (path := SETTINGS_FOLDER / name): content | _fingerprints(path, content, watched, hashes)
            for name, content, watched in _contents(params)
        }


def settings_are_written(params: Params) -> bool:
    """Whether settings/ has exactly the settings files of `params`, with their content."""
    written = {path: _known(path) for path in SETTINGS_FOLDER.rglob("*.json")}
    return written == settings_files(params)


def settings_of_task(params: Params, task: str) -> dict[str, Content]:
    """The settings of a task's data and runs, by the paths of its files, without fingerprints."""
    alone = params.model_copy(update={"tasks": [task], "submit": []})
    return {path: content for path, content, _ in _contents(alone)}


def _contents(params: Params) -> Iterator[tuple[str, Content, Watched]]:
    """The path of each settings file, its content, and the data or model files that it names."""
    for task in params.tasks:
        yield f"{task}/data.json", _data(params, task), watched_data(params.task(task), params.glue)
        for arm in params.finetune.arms:
            yield f"{task}/teacher/{arm}.json", *_run(params.teacher(task, arm))
        for arm in params.student.arms:
            yield f"{task}/student/{arm}.json", *_run(params.plain_student(task, arm))
        for recipe in params.distill.recipes:
            yield f"{task}/recipe/{recipe}.json", *_run(params.distilled_student(task, recipe))
        for one in params.distill.mapped:
            yield f"{task}/mapped/{one.name}.json", one.model_dump(exclude={"name"}), {}
    if params.submit:
        yield "submit.json", {}, watched_tests(params)


def _data(params: Params, task: str) -> Content:
    settings = params.task(task)
    content = {"task": settings.model_dump(exclude_defaults=True, exclude={"training", "arms"})}
    content["splits"] = params.splits.model_dump(exclude_defaults=True)
    if params.folds_of(task) > 1:
        content["seeds"] = params.seeds_of(task)  # each seed has its own cut
    return content | ({"glue": params.glue.model_dump(exclude_defaults=True)} if settings.source == "glue" else {})


def _run(settings: RunSettings) -> tuple[Content, Watched]:
    parts = ("model", "objective", "training", "runtime")
    content = {part: getattr(settings, part).model_dump(exclude_defaults=True) for part in parts}
    return content, watched_model(settings.model)


def _fingerprints(path: Path, content: Content, watched: Watched, hashes: FileHashes) -> Content:
    """The key `files` of a settings file; empty if params.yaml names no files, or their fingerprint is unknown."""
    found = {}
    for key, (place, files) in watched.items():
        if files:
            found[key] = hashes.fingerprint(place, files)
        elif not _exists(place) and (before := _fingerprint_before(path, content, key)) is not None:
            print(f"warning: {place} does not exist here; {path} keeps the fingerprint of its files", file=sys.stderr)
            found[key] = before
    return {"files": found} if found else {}


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):  # no file can have such a name
        return path.exists()
    return False


def _fingerprint_before(path: Path, content: Content, key: str) -> str | None:
    """The old fingerprint of files that are not on this machine, if all other settings in the file are the same.

    If the file has the settings of another study now, only the last commit may have the fingerprint.
    """
    for read in (_known, _committed):
        before = read(path)
        kept = before.pop("files", None)
        if before == content and isinstance(kept, dict) and key in kept:
            return kept[key]
    return None


def _known(path: Path) -> Content:
    """The content of a settings file; empty if the file is missing or damaged."""
    with suppress(OSError):
        return _content_in(path.read_bytes())
    return {}


def _committed(path: Path) -> Content:
    """The content of a settings file in the last commit; empty if the file is missing or damaged there."""
    return _content_in(committed(path) or b"")


def _content_in(text: bytes) -> Content:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
