"""docs/params.md and params.schema.json, from the descriptions and ranges of the keys' types.

    python -m src.params.reference [--check]

The first is for readers. Editors with a YAML language server read the second, which params.yaml names in its first
line.
"""

import argparse
import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from src.errors import UserError, stage
from src.files import new_file
from src.params.study import Params
from src.params.types import Section

PAGE, SCHEMA = Path("docs/params.md"), Path("params.schema.json")
COMPARED = {Ge: ("ge", ">="), Gt: ("gt", ">"), Le: ("le", "<="), Lt: ("lt", "<")}
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
MOST_SHOWN = 2**30  # larger bounds are those of the libraries, and of no interest to a reader
HEAD = """# Every key of params.yaml

Written by `make params` from the types in [src/params](../src/params), which check the file. `<name>` stands for a name
of your own. A key without a default must be there. [method.md](method.md) gives the loss as a formula.

"""


@stage
def main() -> None:
    """Write both, or see whether they are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a file is stale")
    check = parser.parse_args().check

    for path, content in ((PAGE, page()), (SCHEMA, schema())):
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != content):
            raise UserError(path, "is not what src/params says", "run `make params`")
        if not check:
            with new_file(path) as draft:
                draft.write_text(content, encoding="utf-8")


def schema() -> str:
    """The JSON schema of params.yaml."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Params.model_json_schema()
    return json.dumps(_standard(content), indent=1) + "\n"


def _standard(content: Any) -> Any:
    """Bounds under JSON schema's names: pydantic leaves its own where a validator comes before them."""
    match content:
        case dict():
            return {BOUNDS.get(key, key): _standard(value) for key, value in content.items()}
        case list():
            return [_standard(value) for value in content]
    return content


def page() -> str:
    """A table for each section of params.yaml, a line a key."""
    parts, told = [HEAD], {}
    for key, field in Params.model_fields.items():
        rows = "\n".join(_rows(key, field, told))
        parts.append(f"## {key}\n\n| key | values | default | meaning |\n|---|---|---|---|\n{rows}\n\n")
    return "".join(parts).rstrip() + "\n"


def _rows(key: str, field: FieldInfo, told: dict[tuple[str, str | None], str]) -> Iterator[str]:
    """Lines of a key and of those below it.

    Args:
        told: by name and description of a key, where it was told before. There it is not told again.
    """
    section, below = _section_of(field.annotation)
    inner = {} if section is None else section.model_fields
    known = dict.fromkeys(told[name, one.description] for name, one in inner.items() if (name, one.description) in told)
    references = f" Keys as in {', '.join(f'`{place}`' for place in known)}." if known else ""
    yield _row(key, field, references)
    for name, one in inner.items():
        if (name, one.description) not in told:
            told[name, one.description] = f"{key}{below}"
            yield from _rows(f"{key}{below}.{name}", one, told)


def _section_of(kind: Any) -> tuple[type[Section] | None, str]:
    """The section that a type holds, if any, and what stands between a key and those of the section."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind, ""
    inner = [arg for arg in get_args(kind) if arg is not type(None)]
    if not inner or get_origin(kind) is Literal:
        return None, ""
    section, below = _section_of(inner[-1])
    return section, {dict: ".<name>", list: "[]"}.get(get_origin(kind), "") + below


def _row(key: str, field: FieldInfo, references: str) -> str:
    default = "" if field.is_required() else _shown(field.get_default(call_default_factory=True))
    meaning = (field.description or "").replace("<", "&lt;") + references
    cells = f"`{key}`", _values(field.annotation, field.metadata), default, meaning
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in cells) + " |"


def _shown(default: Any) -> str:
    empty = isinstance(default, Section) or default in ([], {})
    return "" if empty else f"`{json.dumps(default)}`"


def _values(kind: Any, metadata: list[Any]) -> str:
    """What a key may hold, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):
        return _values(inner[0], [*kind.__metadata__, *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join(_values(one, metadata) for one in inner if one is not type(None)) + (
            " or null" if type(None) in inner else ""
        )
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is list:
        return f"list of {_values(inner[0], [])}"
    if origin is dict:
        return "mapping"
    if isinstance(kind, type) and issubclass(kind, Section):
        return "mapping"
    return _named(kind) + _range(metadata)


def _named(kind: Any) -> str:
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}[kind]


def _range(metadata: list[Any]) -> str:
    found = []
    for bound in _bounds(metadata):
        name, sign = COMPARED[type(bound)]
        if abs(value := getattr(bound, name)) < MOST_SHOWN:
            found.append(f"{sign} {value:g}")
    return f" {', '.join(found)}" if found else ""


def _bounds(metadata: list[Any]) -> Iterator[Any]:
    for one in metadata:
        yield from [one] if type(one) in COMPARED else _bounds(getattr(one, "metadata", []))


if __name__ == "__main__":
    main()
