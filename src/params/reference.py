"""docs/params.md and params.schema.json, from the descriptions and ranges of the keys' types.

    python -m src.params.reference [--check]

The first is for readers. Editors with a YAML language server read the second, which params.yaml names in its first
line.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.params.study import Params
from src.system.errors import UserError, stage
from src.system.files import new_file

Schema = dict[str, Any]
Told = dict[tuple[str, str | None], str]
PAGE, SCHEMA = Path("docs/params.md"), Path("params.schema.json")
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
SIGNS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
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

    for path, content in ((PAGE, page()), (SCHEMA, json.dumps(schema(), indent=1) + "\n")):
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != content):
            raise UserError(path, "is not what src/params says", "run `make params`")
        if not check:
            with new_file(path) as draft:
                draft.write_text(content, encoding="utf-8")


def page() -> str:
    """A table for each section of params.yaml, a line a key."""
    content, parts, told = schema(), [HEAD], {}
    for key in content["properties"]:
        rows = "\n".join(_rows(key, key, content, content["$defs"], told))
        parts.append(f"## {key}\n\n| key | values | default | meaning |\n|---|---|---|---|\n{rows}\n\n")
    return "".join(parts).rstrip() + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _standard(Params.model_json_schema())


def _standard(content: Any) -> Any:
    """Bounds under JSON schema's names: pydantic leaves its own where a validator comes before them."""
    match content:
        case dict():
            return {BOUNDS.get(key, key): _standard(value) for key, value in content.items()}
        case list():
            return [_standard(value) for value in content]
    return content


def _rows(path: str, key: str, section: Schema, sections: Schema, told: Told) -> Iterator[str]:
    """Lines of a key and of those below it.

    Args:
        path: of the key, from the top of the file.
        section: the one that holds it.
        sections: by name, all that there are.
        told: by name and description of a key, where it was told before. There it is not told again.
    """
    below, inner = _below(section["properties"][key], sections)
    field = {"description": inner.get("description", "")} | section["properties"][key]  # the same text stands once
    keys = {name: (name, one.get("description")) for name, one in inner.get("properties", {}).items()}
    known = dict.fromkeys(told[key] for key in keys.values() if key in told)
    references = f" Keys as in {', '.join(f'`{place}`' for place in known)}." if known else ""
    yield _row(path, field, references)
    for name, described in keys.items():
        if described not in told:
            told[described] = f"{path}{below}"
            yield from _rows(f"{path}{below}.{name}", name, inner, sections, told)


def _below(field: Schema, sections: Schema) -> tuple[str, Schema]:
    """What stands between a key and those below it, and the section that holds these; it is empty where none are."""
    match field:
        case {"$ref": name}:
            return "", sections[name.rpartition("/")[2]]
        case {"anyOf": [first, *_]}:
            return _below(first, sections)
        case {"items": inner}:
            below, section = _below(inner, sections)
            return f"[]{below}", section
        case {"patternProperties": inner}:
            below, section = _below(next(iter(inner.values())), sections)
            return f".<name>{below}", section
    return "", {}


def _row(path: str, field: Schema, references: str) -> str:
    default = field.get("default", {})
    shown = "" if isinstance(default, dict | list) else f"`{json.dumps(default)}`"
    meaning = field["description"].replace("<", "&lt;") + references
    cells = f"`{path}`", _values(field), shown, meaning
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in cells) + " |"


def _values(field: Schema) -> str:
    """What a key may hold, in words."""
    match field:
        case {"anyOf": kinds}:
            return " or ".join(map(_values, kinds))
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"items": inner}:
            return f"list of {_values(inner)}"
        case {"type": str(kind)} if kind in KINDS:
            bounds = [f"{sign} {field[bound]:g}" for bound, sign in SIGNS.items() if _is_told(field.get(bound))]
            return " ".join([KINDS[kind], ", ".join(bounds)]).rstrip()
    return "mapping"


def _is_told(bound: float | None) -> bool:
    return bound is not None and bound < MOST_SHOWN


if __name__ == "__main__":
    main()
