"""Small copies of datasets of prompts, with the schemas of the hub; all texts are harmless."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import yaml

Rows = list[dict[str, Any]]


def encoded(rows: Rows, kind: str) -> bytes:
    buffer = io.BytesIO()
    match kind:
        case "csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            return text.getvalue().encode()
        case "jsonl":
            return "".join(json.dumps(row) + "\n" for row in rows).encode()
        case "parquet":
            pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def repository(
    configs: dict[str, dict[str, Rows]], kind: str = "parquet", **card: Any
) -> dict[str, bytes]:
    """The files of a dataset's repository: {configuration: {split: rows}}, named in its card."""
    files, described = {}, []
    for config, splits in configs.items():
        data_files = []
        for split, rows in splits.items():
            path = f"{config}/{split}.{kind}"
            files[path] = encoded(rows, kind)
            data_files.append({"split": split, "path": path})
        described.append({"config_name": config, "data_files": data_files})
    head = yaml.safe_dump({"configs": described, **card})
    return {"README.md": f"---\n{head}---\n".encode(), **files}


def clone(folder: Path, files: dict[str, bytes]) -> str:
    """The same as a local copy; returns its path."""
    for name, content in files.items():
        path = folder / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder / "copy")


def beavertails_row(prompt: str, is_safe: bool, *categories: str) -> dict[str, Any]:
    names = ("animal_abuse", "child_abuse", "violence,aiding_and_abetting,incitement")
    flags = {name: name in categories for name in names}
    return {"prompt": prompt, "response": "r", "category": flags, "is_safe": is_safe}


HARMBENCH = {
    "standard": {"train": [{"prompt": "plain", "category": "chemical"}]},
    "contextual": {
        "train": [{"prompt": "with context", "context": "A text.", "category": "cybercrime"}]
    },
    "copyright": {"train": [{"prompt": "a poem", "tags": "lyrics"}]},
}


STANDARD = ("plain", "harmbench-standard", "chemical")
CONTEXTUAL = ("A text.\n\n---\n\nwith context", "harmbench-contextual", "cybercrime")
COPYRIGHT = ("a poem", "harmbench-copyright", "copyright")


# source: (the kind of file, configurations, (prompt, source, category) of each row)
LOADED: dict[str, tuple[str, dict[str, dict[str, Rows]], list[tuple[str, str, str | None]]]] = {
    "beavertails": (
        "jsonl",
        {
            "default": {
                "330k_train": [
                    beavertails_row("safe", True),
                    beavertails_row("unsafe", False, "child_abuse", "animal_abuse"),
                    beavertails_row("of no category", False),
                ],
                "330k_test": [beavertails_row("of the other split", False)],
            }
        },
        [("unsafe", "beavertails", "animal_abuse"), ("of no category", "beavertails", None)],
    ),
    "advbench": (
        "csv",
        {"default": {"train": [{"prompt": "a, b", "target": "t"}, {"prompt": "c", "target": "t"}]}},
        [("a, b", "advbench", None), ("c", "advbench", None)],
    ),
    "harmbench": ("csv", HARMBENCH, [STANDARD, CONTEXTUAL, COPYRIGHT]),
    "harmbench-standard": ("parquet", HARMBENCH, [STANDARD]),
    "harmbench-contextual": ("parquet", HARMBENCH, [CONTEXTUAL]),
    "harmbench-copyright": ("parquet", HARMBENCH, [COPYRIGHT]),
    "jailbreakbench": (
        "csv",
        {
            "behaviors": {
                "harmful": [{"Index": 0, "Goal": "goal", "Behavior": "b", "Category": "Privacy"}],
                "benign": [{"Index": 0, "Goal": "other", "Behavior": "b", "Category": "Privacy"}],
            },
            "judge_comparison": {"test": [{"prompt": "not this"}]},
        },
        [("goal", "jailbreakbench", "Privacy")],
    ),
    "xstest": (
        "csv",
        {
            "default": {
                "train": [
                    {"id": 1, "prompt": "one", "type": "homonyms", "label": "safe"},
                    {"id": 2, "prompt": "two", "type": "contrast_homonyms", "label": "unsafe"},
                ]
            }
        },
        [("one", "xstest", "homonyms"), ("two", "xstest", "contrast_homonyms")],
    ),
    "strongreject": (
        "parquet",
        {"default": {"train": [{"prompt": "p", "category": "Violence", "source": "custom"}]}},
        [("p", "strongreject", "Violence")],
    ),
}


ROWS = [{"prompt": "a text", "topic": "x"}, {"prompt": "another", "topic": "y"}]
