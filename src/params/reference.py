"""Writes docs/params.md and params.schema.json from the types of the keys: their ranges and descriptions.

    python -m src.params.reference [--check]

The page is for readers. The schema is for editors with a YAML language server; the first line of params.yaml names it.
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
MOST_SHOWN = 2**30  # larger bounds come from the libraries and do not interest a reader
HEAD = """# Every key of params.yaml

`make params` writes this page from the types in [src/params](../src/params), which check the file. `<name>` stands for
a name that you choose. A key without a default is required. [method.md](method.md) gives the loss as a formula.

"""


@stage
def main() -> None:
    """Write both files, or check whether they are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is stale")
    check = parser.parse_args().check

    for path, content in ((PAGE, page()), (SCHEMA, json.dumps(schema(), indent=1) + "\n")):
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != content):
            raise UserError(path, "does not match src/params", "run `make params`")
        if not check:
            with new_file(path) as draft:
                draft.write_text(content, encoding="utf-8")


def page() -> str:
    """The page: a table for each section of params.yaml, with a line for each key."""
    content, parts, told = schema(), [HEAD], {}
    for key in content["properties"]:
        rows = "\n".join(_rows(key, key, content, content["$defs"], told))
        parts.append(f"## {key}\n\n| key | values | default | meaning |\n|---|---|---|---|\n{rows}\n\n")
    return "".join(parts).rstrip() + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _standard(Params.model_json_schema())


def _standard(content: Any) -> Any:
    """A schema whose bounds have JSON schema's names. pydantic keeps its own names for bounds behind a validator."""
    match content:
        case dict():
            return {BOUNDS.get(key, key): _standard(value) for key, value in content.items()}
        case list():
            return [_standard(value) for value in content]
    return content


def _rows(path: str, key: str, section: Schema, sections: Schema, told: Told) -> Iterator[str]:
    """The lines of a key and of the keys below it.

    A key that an earlier section described, under the same name and in the same words, is only referred to.

    Args:
        path: path of the key, from the top of the file.
        section: the schema of the section that holds the key.
        sections: all schemas of sections, by name.
        told: the path of the section that described a key, by the key's name and description. Gets new entries.
    """
    field = section["properties"][key]
    infix, inner = _below(field, sections)
    below = {name: (name, one.get("description")) for name, one in inner.get("properties", {}).items()}
    places = dict.fromkeys(told[described] for described in below.values() if described in told)
    references = f" Keys as in {', '.join(f'`{place}`' for place in places)}." if places else ""
    # A key without a description has its section's.
    yield _row(path, {"description": inner.get("description", "")} | field, references)
    for name, described in below.items():
        if described not in told:
            told[described] = f"{path}{infix}"
            yield from _rows(f"{path}{infix}.{name}", name, inner, sections, told)


def _below(field: Schema, sections: Schema) -> tuple[str, Schema]:
    """The part of the path between a key and the keys below it, and their section; both are empty without such keys."""
    match field:
        case {"$ref": name}:
            return "", sections[name.rpartition("/")[2]]
        case {"anyOf": [first, *_]}:
            return _below(first, sections)
        case {"items": inner}:
            infix, section = _below(inner, sections)
            return f"[]{infix}", section
        case {"patternProperties": inner}:
            infix, section = _below(next(iter(inner.values())), sections)
            return f".<name>{infix}", section
    return "", {}


def _row(path: str, field: Schema, references: str) -> str:
    default = field.get("default", {})
    shown = "" if isinstance(default, dict | list) else f"`{json.dumps(default)}`"
    meaning = field["description"].replace("<", "&lt;") + references
    cells = f"`{path}`", _values(field), shown, meaning
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in cells) + " |"


def _values(field: Schema) -> str:
    """The values that a key accepts, in words."""
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
