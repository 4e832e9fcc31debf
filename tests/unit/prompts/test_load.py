import hashlib
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.prompts.load import load_prompts
from refusal_stability.schemas.stages import Prompts

REPOSITORY = Path(__file__).parents[3]


def prompt_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_file(
    folder: Path, rows: list[dict[str, str]], **settings: Any
) -> tuple[pl.DataFrame, dict[str, Any]]:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_prompts({"source": "file", "path": str(path), **settings})


def texts(*prompts: str) -> list[dict[str, str]]:
    return [{"prompt": prompt} for prompt in prompts]


def test_ids_order_source_and_category(tmp_path: Path) -> None:
    table, _ = from_file(tmp_path, [{"prompt": "b", "category": "x"}, {"prompt": "a"}])
    assert table.rows() == [
        # hashlib.sha256(b"b").hexdigest()[:12], then b"a"
        ("3e23e8160039", "b", "mine", "x"),
        ("ca978112ca1b", "a", "mine", None),
    ]
    Prompts.validate(table)


def test_an_id_is_a_hash_of_the_utf8_text(tmp_path: Path) -> None:
    table, _ = from_file(tmp_path, texts("Naïve 你好"))
    assert table["prompt_id"].to_list() == [prompt_id("Naïve 你好")]


def test_duplicates_are_dropped_and_counted_and_the_first_is_kept(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "category": "first"},
        {"prompt": "b"},
        {"prompt": "a", "category": "second"},
        {"prompt": "b"},
        {"prompt": "a"},
    ]
    table, manifest = from_file(tmp_path, rows)
    assert table.select("prompt", "category").rows() == [("a", "first"), ("b", None)]
    assert manifest["count"] == 2
    assert manifest["duplicates_dropped"] == 3


def test_only_equal_texts_are_duplicates(tmp_path: Path) -> None:
    table, manifest = from_file(tmp_path, texts("a", "A", "a ", " a"))
    assert table.height == 4
    assert manifest["duplicates_dropped"] == 0


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"]), (9, ["a", "b", "c"])]
)
def test_limit_counts_distinct_prompts(tmp_path: Path, limit: int, expected: list[str]) -> None:
    table, manifest = from_file(tmp_path, texts("a", "a", "b", "a", "c"), limit=limit)
    assert table["prompt"].to_list() == expected
    assert manifest["count"] == len(expected)


def sampled(folder: Path, rows: list[dict[str, str]], **settings: Any) -> list[str]:
    return from_file(folder, rows, **settings)[0]["prompt"].to_list()


# Ten prompts of x, ten of y, two of z and one without a category, interleaved.
CATEGORISED = [
    {"prompt": f"{category}{number}", "category": category}
    for number in range(10)
    for category in "xyz"
    if category != "z" or number < 2
] + [{"prompt": "none"}]


def test_a_sample_takes_as_many_of_each_category_in_their_order(tmp_path: Path) -> None:
    prompts = sampled(tmp_path, CATEGORISED, per_category=3)
    assert sorted(prompt[0] for prompt in prompts) == sorted("xxxyyyzzn")
    order = [row["prompt"] for row in CATEGORISED]
    assert prompts == sorted(prompts, key=order.index)
    assert {"z0", "z1", "none"} <= set(prompts)


def test_a_sample_is_its_seed_s(tmp_path: Path) -> None:
    def of_seed(**seed: int) -> list[str]:
        return sampled(tmp_path, CATEGORISED, per_category=3, **seed)

    assert of_seed() == of_seed(sample_seed=0)
    assert of_seed(sample_seed=1) == of_seed(sample_seed=1)
    assert len({tuple(of_seed(sample_seed=seed)) for seed in range(10)}) == 10


def test_a_sample_does_not_depend_on_the_order_of_rows_or_on_duplicates(tmp_path: Path) -> None:
    expected = set(sampled(tmp_path, CATEGORISED, per_category=3))
    shuffled = CATEGORISED[::-1] + CATEGORISED[:5]
    table, manifest = from_file(tmp_path, shuffled, per_category=3)
    assert set(table["prompt"]) == expected
    assert manifest["duplicates_dropped"] == 5


def test_every_prompt_is_as_likely_in_a_sample(tmp_path: Path) -> None:
    rows = [{"prompt": f"x{number}", "category": "x"} for number in range(10)]
    counts = dict.fromkeys((row["prompt"] for row in rows), 0)
    for seed in range(500):
        for prompt in sampled(tmp_path, rows, per_category=2, sample_seed=seed):
            counts[prompt] += 1
    # 500 draws of 2 in 10: 100 each, of standard deviation sqrt(500 * 0.2 * 0.8) = 9.
    assert all(60 < count < 140 for count in counts.values()), counts


def test_the_limit_comes_after_the_sample(tmp_path: Path) -> None:
    prompts = sampled(tmp_path, CATEGORISED, per_category=3)
    assert sampled(tmp_path, CATEGORISED, per_category=3, limit=4) == prompts[:4]


def test_manifest(tmp_path: Path) -> None:
    table, manifest = from_file(tmp_path, texts("a", "b"), limit=5)
    path = str(tmp_path / "mine.jsonl")
    assert manifest["settings"] == {"source": "file", "path": path, "limit": 5}
    # The ids of "a" and "b", joined by a line break.
    checksum = hashlib.sha256(b"ca978112ca1b\n3e23e8160039").hexdigest()
    assert manifest["sha256"] == prompts_sha256(table["prompt_id"]) == checksum
    assert manifest["sources"] == {"mine": 2}


def test_what_is_expected_is_not_among_the_settings(tmp_path: Path) -> None:
    _, manifest = from_file(tmp_path, texts("a"), expect={"count": 1})
    assert "expect" not in manifest["settings"]


def test_the_checksum_tells_the_order(tmp_path: Path) -> None:
    _, one = from_file(tmp_path, texts("a", "b"))
    _, other = from_file(tmp_path, texts("b", "a"))
    assert one["sha256"] != other["sha256"]


def test_an_empty_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.jsonl, line 2: the prompt is empty\. Hint"):
        from_file(tmp_path, texts("a", ""))


def test_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    table, manifest = load_prompts({"source": "demo"})
    assert table.height == manifest["count"] >= 60
    assert manifest["duplicates_dropped"] == 0
    assert table["category"].n_unique() == 10
    assert table["category"].null_count() == 0
    assert sorted(table["source"].unique()) == ["demo-allowed", "demo-borderline", "demo-forbidden"]
    Prompts.validate(table)


def test_the_first_demo_prompts_are_a_sample_of_all_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    table, _ = load_prompts({"source": "demo", "limit": 12})
    assert table.height == 12
    assert table["source"].n_unique() == 3


def dataset_row(prompt: str, is_safe: bool, *categories: str) -> dict[str, Any]:
    names = ("animal_abuse", "child_abuse", "violence,aiding_and_abetting,incitement")
    return {
        "prompt": prompt,
        "response": "a response",
        "category": {name: name in categories for name in names},
        "is_safe": is_safe,
    }


def local_dataset(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Laid out as a clone of the dataset's repository: its split is named in the README."""
    data = folder / "BeaverTails/round0/330k/train.jsonl.xz"
    data.parent.mkdir(parents=True)
    data.write_bytes(lzma.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    (folder / "BeaverTails/README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: 330k_train\n"
        "    path: round0/330k/train.jsonl.xz\n---\n"
    )
    return folder / "BeaverTails"


def run_script(folder: Path, settings: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the rule's script apart from this process, with a cache of its own and no network."""
    script = REPOSITORY / "workflow/scripts/prompts.py"
    outputs = ["--output", folder / "prompts.parquet"]
    return subprocess.run(
        [sys.executable, script, "--settings", json.dumps(settings), *outputs],
        env=os.environ | {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_beavertails_from_a_local_copy(tmp_path: Path) -> None:
    rows = [
        dataset_row("unsafe", False, "child_abuse", "violence,aiding_and_abetting,incitement"),
        dataset_row("safe", True),
        dataset_row("unsafe", False, "animal_abuse"),
        dataset_row("no category", False),
        dataset_row("over the limit", False),
    ]
    path = local_dataset(tmp_path, rows)
    result = run_script(tmp_path, {"source": "beavertails", "path": str(path), "limit": 2})
    assert result.returncode == 0, result.stderr
    # Unsafe rows alone, the first of equal prompts with the first of its categories.
    assert pl.read_parquet(tmp_path / "prompts.parquet").rows() == [
        (prompt_id("unsafe"), "unsafe", "beavertails", "child_abuse"),
        (prompt_id("no category"), "no category", "beavertails", None),
    ]
    manifest = json.loads((tmp_path / "prompts.json").read_text())
    assert manifest["count"] == 2
    assert manifest["duplicates_dropped"] == 1


def without_key(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize("column", [None, "is_safe", "category"])
def test_beavertails_that_cannot_be_read_is_one_line(tmp_path: Path, column: str | None) -> None:
    if column is None:
        path = tmp_path / "nowhere"
    else:
        path = local_dataset(tmp_path, [without_key(dataset_row("unsafe", False), column)])
    result = run_script(tmp_path, {"source": "beavertails", "path": str(path)})
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert str(path) in result.stderr
    assert "Hint: " in result.stderr.splitlines()[-1]
    assert not (tmp_path / "prompts.parquet").exists()
