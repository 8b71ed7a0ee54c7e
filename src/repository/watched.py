"""Which files a task's data and a model are read from, where they lie in a folder of the user's.

What comes from the hub or from a pinned archive is fixed by its revision or hash, and is compared with it when used.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from src.data.sources.dataset import location_of, location_of_task
from src.data.sources.layouts import forms_of
from src.params import Glue, ModelSource, TaskSettings
from src.system.errors import UserError
from src.system.files import user_path

WEIGHT_FILES = ("*.safetensors", "*.gguf")
# Also the vocabularies that only some tokenizers of transformers have, such as bpe.codes and source.spm.
TOKENIZER_FILES = ("*.txt", "*.model", "*.vocab", "*.codes", "*.spm", "*.tokenizer", "vocab.*", "tokenizer.*")
MODEL_FILES = ("*.json", *WEIGHT_FILES, *TOKENIZER_FILES)
Watched = dict[str, tuple[Path, list[Path]]]  # by the key of params.yaml: its folder or file, and the files that count


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


def watched_model(model: ModelSource) -> Watched:
    """The files of a model in a folder that transformers reads."""
    if model.source != "folder":
        return {}
    folder = user_path(model.name)
    return {"name": (folder, _matching(folder, MODEL_FILES))}


def _splits(folder: Path, splits: Iterable[str]) -> tuple[Path, list[Path]]:
    """All files that may hold one of the splits: a second one for a split changes what is read, or whether it is."""
    found: list[Path] = []
    with suppress(OSError, UserError):  # a folder that may not be read is as one that is not here
        paths = [path for split in splits for files in forms_of(folder, split) for path in files]
        found = [file for path in paths for file in (_saved_in(path) if path.is_dir() else [path])]
    return folder, found


def _saved_in(folder: Path) -> list[Path]:
    """What `save_to_disk` wrote, less what a file manager may have left."""
    return _files(path for path in folder.iterdir() if not path.name.startswith("."))


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    with suppress(OSError, ValueError):  # a name too long, or none of a folder
        found = sorted({path for pattern in patterns for path in folder.glob(pattern)})  # tokenizer.json fits two
    return _files(found)


def _files(paths: Iterable[Path]) -> list[Path]:
    with suppress(OSError, ValueError):
        return [path for path in paths if path.is_file()]
    return []
