"""The cache that runs share: nothing is computed twice, and nothing is another result for it."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.workspace import Workspace

CELLS = ["T0_seed1", "T1_seed1"]
VERDICTS = "verdicts/judge-good/tiny-llama"


@pytest.fixture(scope="module")
def grown(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which a run of 4 prompts became one of 12; the reduced run has no cache."""
    folder = tmp_path_factory.mktemp("cache") / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    workspace = Workspace(folder)
    # A model and a judge of the reduced run, and half of its cells, as they are.
    config = workspace.read_config()
    config |= {"models": config["models"][:1], "judges": config["judges"][:1], "seeds": [1]}
    workspace.write_config(config)
    make(workspace, "all_tables")
    # Another run of the same weights.
    del config["cache"]
    for entry in (*config["models"], *config["judges"]):
        name = entry["weights"].removeprefix("demo:")
        entry["weights"] = f"results/reduced/demo_models/{name}"
    for limit, target in ((4, "all_verdicts"), (12, "all_tables")):
        config |= {"run": "grown", "prompts": {"source": "demo", "limit": limit}}
        workspace.write_config(config)
        make(workspace, target)
        if limit == 4:
            shutil.copytree(run(workspace), folder / "results/small")
    return workspace


@pytest.fixture
def grown_copy(grown: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it that a test may change."""
    shutil.copytree(grown.folder, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy")


def run(workspace: Workspace) -> Path:
    return workspace.folder / "results/grown"


def make(workspace: Workspace, *arguments: str) -> None:
    result = workspace.snakemake("--cores", "2", *arguments)
    assert result.returncode == 0, result.stderr


def manifest(run: Path, name: str) -> dict:
    return json.loads((run / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("off", ["false", "off"])
def test_the_command_line_turns_the_cache_off(finished_copy: Workspace, off: str) -> None:
    config = finished_copy.read_config()
    del config["cache"]
    finished_copy.write_config(config)
    cell = "results/reduced/responses/tiny-llama/T0_seed1"
    # A job reads the configuration again, on its own.
    only = ("--cores", "2", "--forcerun", "generate", "--config", f"cache={off}", "--")
    make(finished_copy, *only, f"{cell}.parquet")
    assert manifest(finished_copy.folder, cell)["from_cache"] == 0
    assert not (finished_copy.folder / off).exists()
    assert not (finished_copy.folder / "results/cache").exists()


def content(run: Path) -> dict[str, bytes]:
    """What a run has found out, by file; what it did cost is another matter."""
    files = [f"responses/tiny-llama/{cell}.parquet" for cell in CELLS] + [f"{VERDICTS}.parquet"]
    tables = [f"tables/{path.name}" for path in run.glob("tables/*.csv") if path.stem != "cost"]
    assert len(tables) > 15
    return {name: (run / name).read_bytes() for name in files + tables}


def parts(workspace: Workspace) -> list[Path]:
    return sorted((workspace.folder / "results/cache").glob("*/*/*/*.parquet"))


def log(workspace: Workspace, job: str) -> str:
    return (run(workspace) / f"logs/{job}.log").read_text(encoding="utf-8")


def test_prompts_that_are_added_are_all_that_is_generated_and_judged(grown: Workspace) -> None:
    small = grown.folder / "results/small"
    for cell in (f"responses/tiny-llama/{cell}" for cell in CELLS):
        before, after = manifest(small, cell), manifest(run(grown), cell)
        assert [before[name] for name in ("count", "asked", "from_cache")] == [4, 4, 0]
        assert [after[name] for name in ("count", "asked", "from_cache")] == [12, 8, 4]
        # Tokens are those of the eight.
        whole = manifest(grown.run, cell)
        for tokens in ("input_tokens", "output_tokens"):
            assert after[tokens] == whole[tokens] - before[tokens]
        for fact in ("dtype", "device", "engine_version", "chat_template_sha256"):
            assert after[fact] == whole[fact]
    before, after, whole = (manifest(r, VERDICTS) for r in (small, run(grown), grown.run))
    assert before["asked"] == before["distinct_pairs"] == after["from_cache"]
    assert after["asked"] + after["from_cache"] == after["distinct_pairs"]
    assert after["distinct_pairs"] == whole["distinct_pairs"] == whole["asked"]
    assert after["input_tokens"] == whole["input_tokens"] - before["input_tokens"]


def test_a_run_with_the_cache_is_the_same_to_the_byte_as_one_without(grown: Workspace) -> None:
    assert content(run(grown)) == content(grown.run)
    assert manifest(grown.run, VERDICTS)["from_cache"] == 0


def test_what_is_all_there_starts_no_engine(grown_copy: Workspace) -> None:
    before = content(run(grown_copy))
    kept = parts(grown_copy)
    shutil.rmtree(run(grown_copy))
    make(grown_copy, "all_tables")
    assert content(run(grown_copy)) == before
    for cell in CELLS:
        made = manifest(run(grown_copy), f"responses/tiny-llama/{cell}")
        taken = (made["asked"], made["from_cache"], made["output_tokens"], made["engine_seconds"])
        assert taken == (0, 12, 0, 0)
        assert made["dtype"] == "float32"
        said = log(grown_copy, f"generate/tiny-llama/{cell}")
        assert said.endswith("12 of 12 replies are in the cache\n")
        assert "Loading safetensors" not in said
    made = manifest(run(grown_copy), VERDICTS)
    assert (made["asked"], made["from_cache"]) == (0, made["distinct_pairs"])
    assert "Loading safetensors" not in log(grown_copy, "judge/judge-good/tiny-llama")
    # Nothing was generated and nothing is kept once more.
    assert parts(grown_copy) == kept
    header, *_, whole = (run(grown_copy) / "tables/cost.csv").read_text().splitlines()
    cost = dict(zip(header.split(","), whole.split(","), strict=True))
    assert (cost["calls"], cost["input_tokens"], cost["output_tokens"]) == ("0", "0", "0")


def test_what_is_damaged_is_generated_again(grown_copy: Workspace) -> None:
    before = content(run(grown_copy))
    # Each cell has a part of 4 replies and one of 8. Of one a bit is turned, the other is cut off.
    for number, folder in enumerate((grown_copy.folder / "results/cache/responses").glob("*/*")):
        small, large = sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_size)
        path = (small, large)[number % 2]
        whole = bytearray(path.read_bytes())
        if number == 0:
            whole[len(whole) // 2] ^= 1
        else:
            del whole[-1]
        path.write_bytes(whole)
    assert number == len(CELLS) - 1
    targets = [f"results/grown/responses/tiny-llama/{cell}.parquet" for cell in CELLS]
    make(grown_copy, "--forcerun", "generate", "--", *targets)
    asked = []
    for cell in CELLS:
        asked.append(manifest(run(grown_copy), f"responses/tiny-llama/{cell}")["asked"])
        said = log(grown_copy, f"generate/tiny-llama/{cell}")
        assert said.count("1 file(s) are not what was kept there and are ignored") == 1
    assert sorted(asked) == [4, 8]
    assert content(run(grown_copy)) == before


def test_without_a_cache_nothing_is_read_and_nothing_is_kept(grown_copy: Workspace) -> None:
    config = grown_copy.read_config() | {"cache": False}
    grown_copy.write_config(config)
    cell = "responses/tiny-llama/T1_seed1"
    before = (run(grown_copy) / f"{cell}.parquet").read_bytes()
    shutil.rmtree(grown_copy.folder / "results/cache")
    make(grown_copy, "--forcerun", "generate", "--", f"results/grown/{cell}.parquet")
    made = manifest(run(grown_copy), cell)
    assert (made["asked"], made["from_cache"]) == (12, 0)
    assert (run(grown_copy) / f"{cell}.parquet").read_bytes() == before
    assert not (grown_copy.folder / "results/cache").exists()


def test_a_shared_engine_has_results_of_its_own_and_is_not_started_either(
    grown_copy: Workspace,
) -> None:
    before = content(run(grown_copy))
    grown_copy.write_config(grown_copy.read_config() | {"engine": {"sharing": "model"}})
    jobs = [f"responses/tiny-llama/{cell}" for cell in CELLS] + [VERDICTS]
    # Another mode may have other replies: none is taken from the one for the other.
    for taken in (False, True):
        shutil.rmtree(run(grown_copy))
        make(grown_copy, "all_tables")
        assert content(run(grown_copy)) == before
        for made in (manifest(run(grown_copy), job) for job in jobs):
            assert made["sharing"] == "model"
            assert (made["from_cache"] > 0, made["asked"] == 0) == (taken, taken)
    for job in ("generate_model/tiny-llama", "judge_models/judge-good"):
        assert "Loading safetensors" not in log(grown_copy, job)
