"""Print docs/parameters.md, every key of a configuration, from the schema that checks them.

python docs/parameters.py > docs/parameters.md
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"
HEAD = """\
# Parameters

Every key of a configuration, its type, default and meaning, in the words of
`workflow/schemas/config.schema.yaml`, by which each run is checked. Made by `docs/parameters.py`:
edit the schema, not this page. [config/README.md](../config/README.md#keys) explains them, with
examples and with what a change reruns.

A key without a default may be left out, unless it is *required* within the mapping that holds it.
`[]` is an entry of a list."""
COLUMNS = ("key", "type", "default", "meaning")
# A run has either these or labels, which no single key can say.
OF_MODELS = ("prompts", "models", "judges", "temperatures", "seeds")
REFERENCE = "#/$defs/"


def page(schema: dict[str, Any]) -> str:
    """Return the page: a section for the single keys, and one for each key that holds others."""
    lines = [HEAD, "", "## The run", "", *_table_head()]
    nested = {}
    for key, subschema in schema["properties"].items():
        subschema = resolved(subschema, schema)
        note = "*required*, unless `labels` are given" if key in OF_MODELS else None
        lines.append(_row(key, subschema, key in schema.get("required", []), note))
        if _inside(subschema, schema):
            nested[key] = subschema
    for key, subschema in nested.items():
        lines += ["", f"## `{key}`", "", *_table_head(), *_below(key, subschema, schema)]
        for kinds, branch in _branches(_inside(subschema, schema), schema):
            if "properties" not in branch:
                continue
            words = " and ".join(f"`{kind}`" for kind in kinds)
            lines += ["", f"### `{key}` of the kind {words}", "", *_table_head()]
            path = key + "[]" * ("items" in subschema)
            lines += _rows(path, branch, schema, without=("name", "kind"))
    return "\n".join(lines) + "\n"


def resolved(subschema: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references; what stands beside one goes before it."""
    while "$ref" in subschema:
        target = schema["$defs"][subschema["$ref"].removeprefix(REFERENCE)]
        beside = {key: value for key, value in subschema.items() if key != "$ref"}
        subschema = target | beside
    return subschema


def _inside(subschema: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of what a mapping, or a list of mappings, holds; empty if it holds no keys."""
    inner = resolved(subschema.get("items", subschema), schema)
    return inner if "properties" in inner else {}


def _below(key: str, subschema: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    path = key + "[]" * ("items" in subschema)
    yield from _rows(path, _inside(subschema, schema), schema)


def _rows(
    path: str, inner: dict[str, Any], schema: dict[str, Any], without: tuple[str, ...] = ()
) -> Iterator[str]:
    for name, subschema in inner["properties"].items():
        if name in without:
            continue
        subschema = resolved(subschema, schema)
        key = f"{path}.{name}"
        yield _row(key, subschema, name in inner.get("required", []))
        # Entries of several kinds have a section of their own.
        if _inside(subschema, schema) and "allOf" not in _inside(subschema, schema):
            yield from _below(key, subschema, schema)


def _branches(
    inner: dict[str, Any], schema: dict[str, Any]
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """The kinds of an entry, and the keys that are theirs."""
    for part in inner.get("allOf", []):
        kind = part["if"]["properties"]["kind"]
        yield kind.get("enum", [kind.get("const")]), resolved(part["then"], schema)


def _table_head() -> list[str]:
    return [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]


def _row(key: str, subschema: dict[str, Any], required: bool, note: str | None = None) -> str:
    default = subschema.get("default")
    shown = note or ("*required*" if required else "")
    if default not in (None, {}):
        shown = f"`{default if isinstance(default, str) else json.dumps(default)}`"
    # A page would take <run> for a tag.
    meaning = " ".join(subschema["description"].split()).replace("<", "&lt;")
    return f"| {' | '.join((f'`{key}`', _type(subschema), shown, meaning))} |"


def _type(subschema: dict[str, Any]) -> str:
    if "enum" in subschema:
        return "one of " + ", ".join(f"`{choice}`" for choice in subschema["enum"])
    names = {
        "string": "text",
        "object": "mapping",
        "boolean": "`true` or `false`",
        "array": "list",
    }
    kinds = subschema.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = " or ".join(names.get(kind, kind) for kind in kinds if kind != "null")
    if "pattern" in subschema:
        words = "name: letters, digits, `.`, `_`, `-`"
    if "array" in kinds:
        least, most = (subschema.get(key) for key in ("minItems", "maxItems"))
        number = (
            "" if least is None else f" of {least}" if least == most else f" of {least} or more"
        )
        words = f"list{number}, each: {_type(subschema['items'])}"
    limits = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    bounds = [f"{word} {subschema[key]}" for key, word in limits.items() if key in subschema]
    return " ".join([words, *bounds]) + " or `null`" * ("null" in kinds)


if __name__ == "__main__":
    print(page(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))), end="")
