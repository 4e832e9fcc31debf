"""Datasets of prompts, loaded by the real `datasets` from small copies with the hub's schemas.

All texts are harmless stand-ins.
"""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from hub_server import TOKEN, HubRepository, hub
from refusal_stability.contracts import Prompts
from refusal_stability.errors import InputError
from refusal_stability.prompt_sources import NAMED
from refusal_stability.prompts import load_prompts

REPOSITORY = Path(__file__).parents[2]
SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and no progress bars in the tests' output."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


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


ROWS = [{"prompt": "a text", "topic": "x"}, {"prompt": "another", "topic": "y"}]
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


# --- The hub: the real libraries against a stand-in of it, in a process with a cache of its own.

ONE, TWO = "1" * 40, "2" * 40
PINNED = HubRepository(
    refs={"main": TWO, "v1": ONE},
    commits={
        ONE: repository({"default": {"train": [{"prompt": "old", "target": "t"}]}}),
        TWO: repository({"default": {"train": [{"prompt": "new", "target": "t"}]}}),
    },
)
GATED = HubRepository(PINNED.refs, PINNED.commits, gated=True)
CLOSED = HubRepository(PINNED.refs, PINNED.commits, gated=True, public_card=False)


def run_script(
    folder: Path, settings: dict[str, Any], *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    script = REPOSITORY / "workflow/scripts/prompts.py"
    outputs = ["--output", folder / "prompts.parquet"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(
        [sys.executable, script, "--settings", json.dumps(settings), *outputs, *arguments],
        env=environment | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def line_of(folder: Path, result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a run that was refused, which left nothing behind."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not list(folder.glob("*prompts.*"))
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: prompts")
    assert "Hint: " in line
    return line


def test_the_commit_of_a_dataset_on_the_hub_is_recorded(tmp_path: Path) -> None:
    files = repository(HARMBENCH)
    for revision, commit, text in (("v1", ONE, "old"), (TWO, TWO, "new"), ("main", TWO, "new")):
        with hub({"walledai/AdvBench": PINNED}) as address:
            result = run_script(
                tmp_path, {"source": "advbench", "revision": revision}, HF_ENDPOINT=address
            )
        assert result.returncode == 0, result.stderr
        table = pl.read_parquet(tmp_path / "prompts.parquet")
        assert table.select("prompt", "source").rows() == [(text, "advbench")]
        manifest = json.loads((tmp_path / "prompts.json").read_text())
        assert manifest["dataset_commits"] == {"advbench": f"walledai/AdvBench@{commit}"}
    harmbench = HubRepository({"main": ONE}, {ONE: files})
    with hub({"walledai/HarmBench": harmbench}) as address:
        result = run_script(tmp_path, {"source": "harmbench"}, HF_ENDPOINT=address)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "prompts.json").read_text())
    assert list(manifest["dataset_commits"]) == [source for _, source, _ in LOADED["harmbench"][2]]
    # Read once already, it needs no network; no other revision is taken for the one asked for.
    advbench = {"source": "advbench", "revision": TWO}
    offline = run_script(tmp_path, advbench | {"revision": ONE}, HF_HUB_OFFLINE="1")
    online = json.loads((tmp_path / "prompts.json").read_text())
    assert online["dataset_commits"] == manifest["dataset_commits"]
    assert offline.returncode == 1
    assert f"is {TWO}, not revision {ONE}" in offline.stderr.splitlines()[-1]
    # Nor where the hub alone could tell which commit a tag is, and does not.
    with hub({"walledai/AdvBench": PINNED}) as address:
        for variables, reason in (
            ({"HF_HUB_OFFLINE": "1"}, "(the hub cannot be reached)"),
            ({"HF_TOKEN": "expired"}, "(the hub refuses the token)"),
        ):
            tag = advbench | {"revision": "v9"}
            result = run_script(tmp_path, tag, **{"HF_ENDPOINT": address} | variables)
            assert result.returncode == 1
            assert reason in result.stderr.splitlines()[-1]
    result = run_script(tmp_path, advbench, HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("dataset", "settings", "variables", "fragments"),
    [
        (
            GATED,
            {},
            {},
            ["it is gated", "open https://huggingface.co/datasets/owner/name", "HF_TOKEN"],
        ),
        (CLOSED, {}, {}, ["it is gated", "datasets/owner/name and accept its terms", "HF_TOKEN"]),
        (PINNED, {}, {"HF_TOKEN": "expired"}, ["the hub refuses the token", "HF_TOKEN"]),
        (PINNED, {"revision": "v9"}, {}, ["it has no revision v9", "owner/name/commits/main"]),
        (PINNED, {"id": "owner/other"}, {}, ["the hub has none of this id", "owner/other"]),
        (PINNED, {"split": "dev"}, {}, ["dev", "train"]),
        (PINNED, {}, {"HF_HUB_OFFLINE": "1"}, ["the hub cannot be reached", "the network once"]),
    ],
    ids=["gated", "gated card", "token", "revision", "id", "split", "offline"],
)
def test_what_the_hub_refuses_is_one_line(
    tmp_path: Path,
    dataset: HubRepository,
    settings: dict[str, str],
    variables: dict[str, str],
    fragments: list[str],
) -> None:
    settings = {"source": "dataset", "id": "owner/name"} | settings
    with hub({"owner/name": dataset}) as address:
        result = run_script(tmp_path, settings, **{"HF_ENDPOINT": address} | variables)
    line = line_of(tmp_path, result)
    assert all(fragment in line for fragment in fragments), line


def test_a_dataset_that_is_larger_than_the_disk_is_not_downloaded(tmp_path: Path) -> None:
    settings = {"source": "dataset", "id": "owner/name"}
    # An exabyte: once as a file, once as the table made of it.
    huge = HubRepository(PINNED.refs, PINNED.commits, sizes={"default/train.parquet": 10**18})
    with hub({"owner/name": huge}) as address:
        line = line_of(tmp_path, run_script(tmp_path, settings, HF_ENDPOINT=address))
    assert "prompts: the dataset owner/name needs 2000000000.00 GB in " in line
    assert "Hint: make room, or set HF_HOME" in line
    assert not [request for request in huge.requests if "train.parquet" in request]


def test_a_token_opens_a_gated_dataset(tmp_path: Path) -> None:
    settings = {"source": "dataset", "id": "owner/name"}
    with hub({"owner/name": CLOSED}) as address:
        result = run_script(tmp_path, settings, HF_ENDPOINT=address, HF_TOKEN=TOKEN)
    assert result.returncode == 0, result.stderr
    # Nothing of the prompts is in the log.
    assert "new" not in result.stderr


def test_prompts_that_are_not_as_expected_are_not_written(tmp_path: Path) -> None:
    path = clone(tmp_path, repository({"default": {"train": ROWS}}))
    settings = {"source": "dataset", "path": path}
    _, manifest = load_prompts(settings)
    line = line_of(tmp_path, run_script(tmp_path, settings, "--expect", '{"count": 3}'))
    assert "prompts.expect: count 3; but the source has count 2, sha256 " in line
    assert manifest["sha256"] in line
    expect = json.dumps({"count": 2, "sha256": "0" * 64})
    assert "0" * 64 in line_of(tmp_path, run_script(tmp_path, settings, "--expect", expect))
    expect = json.dumps({"count": 2, "sha256": manifest["sha256"]})
    result = run_script(tmp_path, settings, "--expect", expect)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "prompts.parquet").exists()
