"""The target `determinism` on the real engine, on a CPU: what it can run, and what it lacks."""

from helpers.workspace import Workspace, reduced_config
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES


def test_on_a_cpu_what_there_is_is_deterministic_and_the_rest_is_said_to_be_missing(
    finished: Workspace,
) -> None:
    config = finished.read_config()
    few = {"prompts": 6, "seeds": [1, 2, 3]}
    finished.write_config(config | {"experiments": {"determinism": few}})
    result = finished.snakemake("--cores", "2", "--", "determinism")
    again = finished.planned("determinism")
    finished.write_config(config)
    assert result.returncode == 0, result.stderr
    table = storage.read_csv(
        finished.run / "experiments/determinism.csv", EXPERIMENT_TABLES["determinism"]
    )
    assert table["arm"].to_list() == [
        "default",
        "deterministic_kernels",
        "one_at_a_time",
        "batch_invariant",
    ]
    there, (absent,) = table.rows(named=True)[:3], table.rows(named=True)[3:]
    for row in there:
        assert row["verdict"] == "deterministic here"
        assert (row["requests"], row["differ"], row["n_passes"], row["n"]) == (6, 0, 3, 6)
        assert (row["identical"], row["flips"]) == (1, 0)
        # The prompts are shorter than a block of the cache.
        assert [row[f"differ_{kind}"] for kind in ("repeated", "cached", "company")] == [0, None, 0]
    assert absent["verdict"] == "not available here"
    assert absent["identical"] is None
    assert "byte-identical under default, deterministic_kernels and one_at_a_time" in result.stdout
    assert "batch_invariant is not available here: vLLM's batch-invariant" in result.stdout
    # Finished, and no part of the run.
    assert again == {}
    assert finished.planned() == {}


def test_a_run_of_one_seed_is_asked_for_more(workspace: Workspace) -> None:
    workspace.write_config(reduced_config() | {"seeds": [1]})
    result = workspace.snakemake("--dry-run", "determinism")
    assert result.returncode == 1
    assert "error: determinism asks every prompt once a seed, and this run has one" in result.stderr
    assert "Traceback" not in result.stderr
    workspace.write_config(
        reduced_config() | {"seeds": [1], "experiments": {"determinism": {"seeds": [1, 2]}}}
    )
    assert workspace.planned("determinism")["determinism_passes"] == 4
