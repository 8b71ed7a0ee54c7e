"""The files from which a task's data and a model are read, if they lie in a folder of the user.

Files from the hub or a pinned archive are fixed by a revision or a hash, and are compared with it at every use.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from src.data.sources.dataset import location_of, location_of_task
from src.data.sources.layouts import forms_of
from src.params import Glue, ModelSource, Params, TaskSettings
from src.system.errors import UserError
from src.system.files import user_path

WEIGHT_FILES = ("*.safetensors", "*.gguf")
# These include vocabularies that only some tokenizers of transformers have, such as bpe.codes and source.spm.
TOKENIZER_FILES = ("*.txt", "*.model", "*.vocab", "*.codes", "*.spm", "*.tokenizer", "vocab.*", "tokenizer.*")
MODEL_FILES = ("*.json", *WEIGHT_FILES, *TOKENIZER_FILES)
Watched = dict[str, tuple[Path, list[Path]]]  # by key of params.yaml: its folder or file, and the files that are read


def watched_data(settings: TaskSettings, glue: Glue) -> Watched:
    """The files of a task's splits, of its second test set and of its transfer file."""
    found: Watched = {}
    if settings.source in ("folder", "glue") and (place := location_of_task(settings, glue)).kind == "folder":
        key = "glue.folder" if settings.source == "glue" else "path"
        found[key] = _splits(Path(place.name), filter(None, [settings.train_split, settings.test_split]))
    if (also := settings.also_test) is not None and also.source == "folder":
        found["also_test.path"] = _splits(Path(location_of(also).name), [also.split])
    if settings.transfer_file is not None:
        path = user_path(settings.transfer_file)
        found["transfer_file"] = path, _files([path])
    return found


def watched_tests(params: Params) -> Watched:
    """GLUE's official test splits in `glue.folder`, which `submit` predicts. They have no labels."""
    found: Watched = {}
    for task in params.tasks:
        settings = params.task(task)
        if settings.source == "glue" and (place := location_of_task(settings, params.glue)).kind == "folder":
            found[task] = _splits(Path(place.name), ["test", "test_matched", "test_mismatched"])
    return found


def watched_model(model: ModelSource) -> Watched:
    """The files that transformers reads of a model in a folder."""
    if model.source != "folder":
        return {}
    folder = user_path(model.name)
    return {"name": (folder, _matching(folder, MODEL_FILES))}


def _splits(folder: Path, splits: Iterable[str]) -> tuple[Path, list[Path]]:
    """All files that may hold one of the splits. A second file for a split changes the data, or makes it ambiguous."""
    found: list[Path] = []
    with suppress(OSError, UserError):  # an unreadable folder counts as missing
        paths = [path for split in splits for files in forms_of(folder, split) for path in files]
        found = [file for path in paths for file in (_saved_in(path) if path.is_dir() else [path])]
    return folder, found


def _saved_in(folder: Path) -> list[Path]:
    """The files that `save_to_disk` wrote, without hidden files of a file manager."""
    return _files(path for path in folder.iterdir() if not path.name.startswith("."))


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    with suppress(OSError, ValueError):  # the name is too long, or is no folder's
        # A set, because tokenizer.json matches two patterns.
        found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return _files(found)


def _files(paths: Iterable[Path]) -> list[Path]:
    with suppress(OSError, ValueError):
        return [path for path in paths if path.is_file()]
    return []
