"""Models of the Hugging Face hub: the files of one commit, in the hub's own cache, complete and unchanged.

Cached files are not requested again, so they need no network.
"""

import sys
from functools import cache
from pathlib import Path

import huggingface_hub.constants
from huggingface_hub import get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars, validate_repo_id

from src.fetching.hub_cache import cache_of, check_files, refused_token, show_progress
from src.system.errors import UserError, first_line
from src.system.write_faults import faults_named

# The files of a classifier and its tokenizer. Weights in other formats are not fetched.
FILES = ["*.json", "*.txt", "*.model", "*.jinja", "model.safetensors", "model-*.safetensors"]
ELSEWHERE = "check the network, or use a local copy (source: folder)"


@cache
def hub_folder(name: str, revision: str) -> Path:
    """The folder with a model's files. Missing files are fetched, once for tokenizer and weights.

    Raises:
        UserError: the model cannot be fetched, the cache cannot be written, or a file differs from the hub's.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        problem = f"is not the name of a model on the hub ({first_line(error)})"
        raise UserError(f"params.yaml: models: {name}", problem, "write it as owner/name") from None
    folder = _cached(name, revision) or _fetched(name, revision)
    check_files("models", name, revision)
    return folder


def _cached(name: str, revision: str) -> Path | None:
    """The folder in the cache; None if the cache does not know that it is complete."""
    try:
        get_cached_repo_tree(name, revision=revision)
        return _snapshot(name, revision, local_files_only=True)
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError):
        return None


def _fetched(name: str, revision: str) -> Path:
    """Fetch the folder. Print a line first, and show progress bars on a terminal."""
    print(f"fetching {name} from {huggingface_hub.constants.ENDPOINT}", file=sys.stderr, flush=True)
    show_progress(enable_progress_bars, disable_progress_bars)
    try:
        with faults_named(cache_of("models", name), allowed="set HF_HOME to a folder that you may write to"):
            return _snapshot(name, revision, local_files_only=False)
    except UserError:
        raise
    except Exception as error:  # from the hub's library, its HTTP library or its downloader in Rust
        problem, allowed = _explained(error)
        raise UserError(f"params.yaml: models: {name}", f"cannot be fetched ({problem})", allowed) from None


def _snapshot(name: str, revision: str, local_files_only: bool) -> Path:
    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=FILES,
            ignore_patterns=["*/*"],  # exports to other libraries
            local_files_only=local_files_only,
        )
    )


def _explained(error: Exception) -> tuple[str, str]:
    """The problem, and what to do about it."""
    if mend := refused_token(error):
        return "the hub refuses your token (401)", mend
    match error:
        case GatedRepoError():
            return "it is gated", "accept its terms on its page, and log in with `hf auth login`"
        case RepositoryNotFoundError():
            return "the hub has no such model, or hides it from you", "check its name, or log in with `hf auth login`"
        case RevisionNotFoundError():
            return "it has no such revision", "set revision to a commit of this model"
        case LocalEntryNotFoundError() if huggingface_hub.constants.HF_HUB_OFFLINE:
            problem = "it is not completely in the cache, and HF_HUB_OFFLINE is set"
            return problem, "unset HF_HUB_OFFLINE and run once with a network"
        case LocalEntryNotFoundError() if error.__cause__ is not None:
            return first_line(error.__cause__), ELSEWHERE
    return first_line(error), ELSEWHERE
