"""The code that training depends on, and its hash: for records, and for checkpoints, which no other code may use.

The stages of dvc.yaml that train depend on the same files; a test compares the two lists.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TRAINING_CODE = (  # files, and folders with all of their modules
    "src/core",
    "src/fetching",
    "src/arms.py",
    "src/runs.py",
    "src/kept_models.py",
    "src/data/prepared.py",
    "src/system/unicode.py",
    "stages/finetune.py",
    "stages/student.py",
    "stages/distill.py",
)


def training_code(root: Path = REPOSITORY) -> str:
    """The SHA-256 of the names and bytes of the code in `root` that training depends on."""
    digest = hashlib.sha256()
    for path in sorted(_files(root)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for name in TRAINING_CODE:
        path = root / name
        yield from path.rglob("[!.]*.py") if path.is_dir() else [path]  # editors keep marks in hidden files
