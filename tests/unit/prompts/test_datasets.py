"""Datasets of prompts, loaded by the real `datasets` from small copies with the hub's schemas.

All texts are harmless stand-ins.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.dataset_copies import (
    CONTEXTUAL,
    HARMBENCH,
    LOADED,
    ROWS,
    STANDARD,
    beavertails_row,
    clone,
    encoded,
    repository,
)
from helpers.workspace import REPOSITORY
from refusal_stability.core.errors import InputError
from refusal_stability.prompts.load import load_prompts
from refusal_stability.prompts.sources import NAMED
from refusal_stability.schemas.stages import Prompts

SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and no progress bars in the tests' output."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


def rows_of(settings: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    table, _ = load_prompts(settings)
    Prompts.validate(table)
    return table.select("prompt", "source", "category").rows()


@pytest.mark.parametrize("source", NAMED)
def test_a_named_source(tmp_path: Path, source: str) -> None:
    kind, configs, expected = LOADED[source]
    path = clone(tmp_path, repository(configs, kind))
    assert rows_of({"source": source, "path": path}) == expected


def test_the_schema_names_every_source() -> None:
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    names = schema["properties"]["prompts"]["properties"]["source"]["enum"]
    assert names == ["demo", "file", "dataset", *NAMED]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_dataset_with_its_own_columns(tmp_path: Path, kind: str) -> None:
    rows = [{"question": "Why?", "topic": "x", "n": 1}, {"question": "How?", "topic": "", "n": 2}]
    path = clone(tmp_path, repository({"hard": {"dev": rows}, "easy": {"dev": rows[:1]}}, kind))
    settings = {
        "source": "dataset",
        "path": path,
        "config": "hard",
        "split": "dev",
        "prompt_column": "question",
        "category_column": "topic",
    }
    source = "copy/hard/dev"
    assert rows_of(settings) == [("Why?", source, "x"), ("How?", source, None)]
    del settings["category_column"]
    assert rows_of(settings) == [("Why?", source, None), ("How?", source, None)]


def test_without_a_card_the_split_is_train(tmp_path: Path) -> None:
    path = clone(tmp_path, {"data.csv": encoded([{"prompt": "a"}], "csv")})
    assert rows_of({"source": "dataset", "path": path}) == [("a", "copy", None)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([["b", "a"], []], ["b", None]),
        ([{"x": False, "y": True}, {"x": False, "y": False}], ["y", None]),
        ([3, 4], ["3", "4"]),
        ([None, "x"], [None, "x"]),
    ],
)
def test_kinds_of_categories(tmp_path: Path, values: list[Any], expected: list[Any]) -> None:
    rows = [{"prompt": f"p{n}", "kind": value} for n, value in enumerate(values)]
    path = clone(tmp_path, repository({"default": {"train": rows}}, "jsonl"))
    table = rows_of({"source": "dataset", "path": path, "category_column": "kind"})
    assert [category for _, _, category in table] == expected


def test_numbered_classes_are_named(tmp_path: Path) -> None:
    features = [
        {"name": "prompt", "dtype": "string"},
        {"name": "kind", "dtype": {"class_label": {"names": {"0": "calm", "1": "wild"}}}},
    ]
    rows = [{"prompt": "a", "kind": 1}, {"prompt": "b", "kind": 0}, {"prompt": "c", "kind": -1}]
    files = repository({"default": {"train": rows}}, dataset_info={"features": features})
    table = rows_of(
        {"source": "dataset", "path": clone(tmp_path, files), "category_column": "kind"}
    )
    assert [category for _, _, category in table] == ["wild", "calm", None]


def test_an_edited_copy_is_read_again(tmp_path: Path) -> None:
    settings = {"source": "dataset", "path": str(tmp_path / "copy")}
    for text in ("before", "after!"):
        clone(tmp_path, repository({"default": {"train": [{"prompt": text}]}}))
        assert rows_of(settings)[0][0] == text


def refused(folder: Path, files: dict[str, bytes], **settings: Any) -> str:
    path = clone(folder, files)
    with pytest.raises(InputError) as caught:
        load_prompts({"source": "dataset", "path": path, **settings})
    message = str(caught.value).replace(path, "COPY")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1
    return message


SEVERAL = repository({"easy": {"train": ROWS}, "hard": {"train": ROWS, "test": ROWS}})


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (
            {"config": "easy", "prompt_column": "text"},
            ["prompts: the dataset COPY (easy) has no column 'text', only prompt, topic"],
        ),
        ({"config": "easy", "category_column": "kind"}, ["no column 'kind', only prompt, topic"]),
        ({"config": "hard", "split": "dev"}, ["COPY (hard)", "dev", "train", "test"]),
        ({"config": "medium"}, ["COPY (medium)", "'medium' not found", "easy", "hard"]),
        ({}, ["COPY cannot be loaded", "Config name is missing", "easy", "hard"]),
        (
            {"source": "harmbench-contextual"},
            ["COPY (contextual) cannot be loaded", "'contextual' not found"],
        ),
        ({"source": "advbench", "path": "/no/where"}, ["prompts: no folder /no/where"]),
    ],
)
def test_a_dataset_of_another_shape_is_one_line(
    tmp_path: Path, settings: dict[str, Any], fragments: list[str]
) -> None:
    message = refused(tmp_path, SEVERAL, **settings)
    assert all(fragment in message for fragment in fragments), message


def test_a_named_source_without_its_column(tmp_path: Path) -> None:
    files = repository({"contextual": {"train": ROWS}})
    message = refused(tmp_path, files, source="harmbench-contextual")
    assert "has no column 'category', only prompt, topic" in message


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "", "topic": "x"}, "COPY, split train, row 3: the prompt is empty"),
        ({"prompt": " \n", "topic": "x"}, "COPY, split train, row 3: the prompt is empty"),
        ({"prompt": None, "topic": "x"}, "COPY, split train, row 3: the prompt is empty"),
    ],
)
def test_an_empty_prompt_is_refused_with_its_row(
    tmp_path: Path, row: dict[str, Any], says: str
) -> None:
    assert says in refused(tmp_path, repository({"default": {"train": [*ROWS, row]}}))


def test_an_empty_context_is_refused_with_its_row(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "context": "", "category": "c"}]
    message = refused(
        tmp_path, repository({"contextual": {"train": rows}}), source="harmbench-contextual"
    )
    assert "COPY (contextual), split train, row 1: the context is empty" in message


def test_a_prompt_that_is_not_text(tmp_path: Path) -> None:
    files = repository({"default": {"train": [{"prompt": [{"role": "secret words"}]}]}}, "jsonl")
    message = refused(tmp_path, files)
    assert "row 1: the prompt is not text" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "content",
    [
        b'{"prompt": "a text"}\n{"prompt": "secret words", \n',
        b'{"prompt": "a text"}\n{"prompt": "secret words"',
        b"{secret words}\n",
        b"PAR1 but no Parquet",
        b"",
    ],
)
def test_a_damaged_file_is_one_line_without_its_text(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "train.parquet" if content.startswith(b"PAR1") else "train.jsonl"
    message = refused(tmp_path, {name: content})
    assert "COPY cannot be loaded" in message
    assert "secret" not in message + "".join(capfd.readouterr())


def test_a_folder_without_data(tmp_path: Path) -> None:
    assert "COPY cannot be loaded" in refused(tmp_path, {"notes.md": b"nothing"})


def test_no_row_that_counts(tmp_path: Path) -> None:
    files = repository({"default": {"330k_train": [beavertails_row("safe", True)]}}, "jsonl")
    message = refused(tmp_path, files, source="beavertails")
    assert message == "prompts: there are no prompts. Hint: check the source"


def test_several_sources(tmp_path: Path) -> None:
    path = clone(tmp_path, repository(HARMBENCH))
    mine = tmp_path / "mine.csv"
    mine.write_text("prompt,category\nmine,\nplain,twice\na poem,\nlast,\n", encoding="utf-8")
    settings: dict[str, Any] = {
        "sources": [
            {"source": "harmbench", "path": path, "limit": 2},
            {"source": "file", "path": str(mine)},
        ]
    }
    table, manifest = load_prompts(settings)
    rows = table.select("prompt", "source", "category").rows()
    mine_rows = [("mine", "mine", None), ("a poem", "mine", None), ("last", "mine", None)]
    # The first of equal prompts is kept, with its own source.
    assert rows == [STANDARD, CONTEXTUAL, *mine_rows]
    assert manifest["count"] == 5
    assert manifest["duplicates_dropped"] == 1
    assert manifest["sources"] == {"harmbench-standard": 1, "harmbench-contextual": 1, "mine": 3}
    assert manifest["dataset_commits"] == {}
    # The limit in all comes after the limits of each.
    assert rows_of(settings | {"limit": 3}) == rows[:3]


def test_an_error_names_the_entry(tmp_path: Path) -> None:
    path = clone(tmp_path, repository(HARMBENCH))
    entries = [{"source": "harmbench", "path": path}, {"source": "advbench", "path": path}]
    with pytest.raises(InputError, match=r"^prompts\.sources\[1\]: the dataset "):
        load_prompts({"sources": entries})
