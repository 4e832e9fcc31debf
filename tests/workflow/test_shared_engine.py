"""One engine for all cells of a model: the same files, and nothing is made twice."""

import json
import shutil
import time
from pathlib import Path

import pytest

from helpers.workspace import Workspace, copy_repository, reduced_config

CELLS = ("T0_seed1", "T0_seed2", "T1_seed1", "T1_seed2")
MODELS = ("tiny-llama", "tiny-qwen2")
SHARED = {"engine": {"sharing": "model"}}


def with_demo_models(finished: Workspace, folder: Path, **config: object) -> Workspace:
    """A workspace with the weights of a finished run, and nothing else of it."""
    workspace = copy_repository(folder)
    weights = "results/reduced/demo_models"
    shutil.copytree(finished.folder / weights, workspace.folder / weights)
    workspace.write_config(reduced_config() | SHARED | config)
    return workspace


def run(workspace: Workspace, *arguments: str) -> None:
    result = workspace.snakemake("--cores", "2", *arguments)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def shared(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = with_demo_models(finished, tmp_path_factory.mktemp("shared"))
    run(workspace)
    return workspace


@pytest.fixture
def shared_copy(shared: Workspace, tmp_path: Path) -> Workspace:
    # As cp -a: links between files of the run stay.
    result = shared.call("cp", "-a", str(shared.folder), str(tmp_path / "copy"))
    assert result.returncode == 0
    return Workspace(tmp_path / "copy")


def manifest(workspace: Workspace, path: str) -> dict:
    return json.loads((workspace.run / path).read_text(encoding="utf-8"))


def log(workspace: Workspace, job: str) -> str:
    return (workspace.run / f"logs/{job}.log").read_text(encoding="utf-8")


def files_of(workspace: Workspace, pattern: str) -> dict[str, bytes]:
    paths = sorted(workspace.run.glob(pattern))
    assert paths
    return {str(path.relative_to(workspace.run)): path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    "pattern", ["responses/*/*.parquet", "verdicts/*/*.parquet", "stability/*", "tables/*.csv"]
)
def test_its_files_are_those_of_an_engine_a_cell(
    finished: Workspace, shared: Workspace, pattern: str
) -> None:
    expected, found = files_of(finished, pattern), files_of(shared, pattern)
    # What a run did cost is another thing.
    for files in (expected, found):
        files.pop("tables/cost.csv", None)
    assert found == expected


def test_the_manifest_says_who_shared_the_engine(finished: Workspace, shared: Workspace) -> None:
    for cell in CELLS:
        assert manifest(finished, f"responses/tiny-llama/{cell}.json")["sharing"] == "cell"
        assert manifest(shared, f"responses/tiny-llama/{cell}.json")["sharing"] == "model"
    assert manifest(shared, "verdicts/judge-good/tiny-llama.json")["sharing"] == "model"


def test_there_is_one_engine_a_model_and_one_a_judge(shared: Workspace) -> None:
    for job in [f"generate_model/{model}" for model in MODELS] + ["judge_models/judge-good"]:
        # vLLM says so when it has read the weights.
        assert log(shared, job).count("Loading safetensors checkpoint shards: 100%") == 1
    assert not (shared.run / "logs/generate").exists()
    assert not (shared.run / "logs/judge").exists()


def test_seconds_of_the_cells_add_up_to_those_of_the_job(shared: Workspace) -> None:
    parts = [manifest(shared, f"responses/tiny-llama/{c}.json")["job_seconds"] for c in CELLS]
    benchmark = shared.run / "benchmarks/generate_model/tiny-llama.tsv"
    whole = float(benchmark.read_text().splitlines()[1].split()[0])
    # The first has the start of the engine; what follows the last is its file, and the end.
    assert parts[0] == max(parts)
    assert 0.8 * whole < sum(parts) <= whole + 0.5


def test_a_finished_run_needs_no_engine(shared_copy: Workspace) -> None:
    assert shared_copy.planned() == {}
    # Not even where the engine's own folder was cleared away.
    shutil.rmtree(shared_copy.run / "shared")
    assert shared_copy.planned() == {}


def test_fewer_seeds_need_no_engine(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    config["seeds"] = [1]
    shared_copy.write_config(config)
    assert shared_copy.planned("--until", "take_cell") == {}


def test_a_new_seed_makes_its_own_cells_only(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    config["seeds"].append(3)
    shared_copy.write_config(config)
    plan = shared_copy.planned()
    assert {rule: plan[rule] for rule in ("generate_model", "take_cell")} == {
        "generate_model": 2,
        # Those that were finished, too: a link each.
        "take_cell": 12,
    }
    before = files_of(shared_copy, "responses/tiny-llama/T*")
    run(shared_copy, "--until", "take_cell")
    assert "4 of 6 cells are finished" in log(shared_copy, "generate_model/tiny-llama")
    after = files_of(shared_copy, "responses/tiny-llama/T*")
    assert before.items() < after.items()
    assert len(after) == 12


def test_a_new_model_leaves_the_others_alone(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    # Of other sampling, so that it is another model in all but its weights.
    config["models"].append(config["models"][0] | {"name": "another", "top_k": 5})
    shared_copy.write_config(config)
    plan = shared_copy.planned()
    assert plan["generate_model"] == 1
    assert plan["take_cell"] == 4
    assert (plan["judge_models"], plan["take_verdicts"]) == (2, 6)
    before = files_of(shared_copy, "verdicts/*/tiny*")
    run(shared_copy, "--until", "take_verdicts")
    assert "2 of 3 models are finished" in log(shared_copy, "judge_models/judge-good")
    assert files_of(shared_copy, "verdicts/*/tiny*") == before


def test_a_job_that_died_leaves_its_finished_cells(finished: Workspace, tmp_path: Path) -> None:
    # Two thousand requests: most are not begun when the first cell is done.
    config = {"prompts": {"source": "demo"}, "seeds": list(range(18))}
    workspace = with_demo_models(finished, tmp_path / "killed", **config)
    cells = [
        f"results/reduced/responses/tiny-llama/T{temperature}_seed{seed}.parquet"
        for temperature in (0, 1)
        for seed in range(18)
    ]
    kept = workspace.run / "shared/responses/tiny-llama"
    with workspace.started("--cores", "1", "--", *cells):
        deadline = time.monotonic() + 300
        while not list(kept.glob("*.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    done = {path.name: path.stat().st_ino for path in kept.glob("*.json")}
    assert 0 < len(done) < len(cells)
    assert not list((workspace.run / "responses").glob("*/*.parquet"))
    result = workspace.snakemake("--unlock")
    assert result.returncode == 0, result.stderr
    run(workspace, "--", *cells)
    assert f"{len(done)} of 36 cells are finished" in log(workspace, "generate_model/tiny-llama")
    # They are the same files as before: Snakemake touches its outputs, which are links to these.
    assert {name: (kept / name).stat().st_ino for name in done} == done
    undisturbed = with_demo_models(finished, tmp_path / "undisturbed", **config)
    run(undisturbed, "--", *cells)
    pattern = "responses/tiny-llama/*.parquet"
    assert files_of(workspace, pattern) == files_of(undisturbed, pattern)


@pytest.mark.parametrize("harm", ["flipped", "truncated"])
def test_a_harmed_cell_is_made_again(shared_copy: Workspace, harm: str) -> None:
    kept = shared_copy.run / "shared/responses/tiny-llama/T1_seed1.parquet"
    cell = shared_copy.run / "responses/tiny-llama/T1_seed1.parquet"
    content = cell.read_bytes()
    kept.unlink()
    match harm:
        case "flipped":
            middle = len(content) // 2
            kept.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "truncated":
            kept.write_bytes(content[:-100])
    cell.unlink()
    target = str(cell.relative_to(shared_copy.folder))
    result = shared_copy.snakemake("--cores", "1", "--", target)
    assert result.returncode != 0
    assert "T1_seed1.parquet: not as the engine left it. Hint: run snakemake again" in result.stderr
    run(shared_copy, "--", target)
    assert "3 of 4 cells are finished" in log(shared_copy, "generate_model/tiny-llama")
    assert cell.read_bytes() == content


def test_a_deleted_cell_is_taken_again(shared_copy: Workspace) -> None:
    cell = shared_copy.run / "responses/tiny-llama/T1_seed1.parquet"
    content = cell.read_bytes()
    cell.unlink()
    target = str(cell.relative_to(shared_copy.folder))
    assert shared_copy.planned("--", target) == {"take_cell": 1}
    run(shared_copy, "--", target)
    assert cell.read_bytes() == content


def test_a_cell_is_made_again_where_the_engines_folder_was_cleared(shared_copy: Workspace) -> None:
    shutil.rmtree(shared_copy.run / "shared")
    cell = shared_copy.run / "responses/tiny-llama/T1_seed1.parquet"
    cell.unlink()
    plan = shared_copy.planned("--", str(cell.relative_to(shared_copy.folder)))
    assert plan == {"generate_model": 1, "take_cell": 1}


# What comes before a rule's own reason to run must not hide it: each of these is for the job of the
# engine and for those that take what it made.
JUDGED_AGAIN = {"judge_models": 2, "take_verdicts": 4}
AGGREGATES = {"stability": 2, "statistics": 1, "figures": 2, "cost": 1, "report_page": 1}
ONE_MODEL = {"generate_model": 1, "take_cell": 4, **JUDGED_AGAIN, **AGGREGATES}


def test_what_reruns_an_engine_has_its_work_taken_again(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    for model in ({"top_k": 5}, {"system_prompt": "Be kind."}):
        changed = [config["models"][0] | model, *config["models"][1:]]
        shared_copy.write_config(config | {"models": changed})
        assert shared_copy.planned() == ONE_MODEL
    judges = [config["judges"][0] | {"max_model_len": 250}, *config["judges"][1:]]
    shared_copy.write_config(config | {"judges": judges})
    assert shared_copy.planned() == {
        "judge_models": 1,
        "take_verdicts": 2,
        **AGGREGATES,
        "stability": 1,
    }
    shared_copy.write_config(config)
    rubric = shared_copy.folder / "resources/rubrics/demo.txt"
    text = rubric.read_text(encoding="utf-8")
    rubric.write_text(text.replace("REFUSE", "Refuse", 1), encoding="utf-8")
    assert shared_copy.planned() == JUDGED_AGAIN | AGGREGATES
    rubric.write_text(text, encoding="utf-8")
    weights = shared_copy.run / "demo_models/tiny-llama/generation_config.json"
    weights.write_text(weights.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert shared_copy.planned() == ONE_MODEL


def test_other_sampling_makes_all_cells_again(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    config["models"][0]["top_k"] = 5
    shared_copy.write_config(config)
    run(shared_copy, "--until", "take_cell")
    assert "0 of 4 cells are finished" in log(shared_copy, "generate_model/tiny-llama")
    for cell in CELLS:
        assert manifest(shared_copy, f"responses/tiny-llama/{cell}.json")["model"]["top_k"] == 5


def test_a_prompt_that_is_too_long_is_one_line(shared_copy: Workspace) -> None:
    config = shared_copy.read_config()
    config["models"][0]["max_model_len"] = 70
    shared_copy.write_config(config)
    result = shared_copy.snakemake("--cores", "2", "--until", "take_cell")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if "error: tiny-llama: " in line]
    assert len(lines) == 1
    assert "Hint: raise max_model_len to" in lines[0]
