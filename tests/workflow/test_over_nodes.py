"""A model over two nodes: real vLLM in two processes that meet over loopback, without Slurm.

On the CPU vLLM shares tensors, and no layers: what runs between the nodes is not quite what runs
between nodes with GPUs. That they start, meet, work together and end is.
"""

import json
import os

import polars as pl
import pytest

from helpers.workspace import Workspace

ONE, TWO = (f"results/reduced/responses/{model}/T0_seed1" for model in ("one-node", "two-nodes"))


@pytest.fixture
def two_nodes(workspace: Workspace) -> Workspace:
    """A workspace with a demo model twice, on one node and over two."""
    config = workspace.read_config()
    model = config["models"][1]
    # What one node has generated is no other's; what is left to do when all is there is told below.
    config["cache"] = "results/cache"
    config["models"] = [model | {"name": "one-node"}, model | {"name": "two-nodes", "nodes": 2}]
    workspace.write_config(config)
    return workspace


def test_replies_over_two_nodes_are_those_of_one(
    two_nodes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = str(two_nodes.folder / "tests/helpers/stand_in_srun")
    monkeypatch.setenv("PATH", os.pathsep.join([stand_in, os.environ["PATH"]]))
    result = two_nodes.snakemake("--cores", "2", f"{ONE}.parquet", f"{TWO}.parquet")
    assert result.returncode == 0, result.stderr
    one, two = (pl.read_parquet(two_nodes.folder / f"{cell}.parquet") for cell in (ONE, TWO))
    assert one.height == 12
    # Sums in another order: in float32, greedily, these models' replies do not turn on them.
    assert two.equals(one)
    manifests = [json.loads((two_nodes.folder / f"{cell}.json").read_text()) for cell in (ONE, TWO)]
    assert "nodes" not in manifests[0]["model"]
    assert manifests[1]["model"]["nodes"] == 2
    assert [manifest["from_cache"] for manifest in manifests] == [0, 0]
    # Made again, all its replies are there: the second node is let go, and no engine is started.
    result = two_nodes.snakemake("--cores", "2", "--forcerun", "generate", "--", f"{TWO}.parquet")
    assert result.returncode == 0, result.stderr
    assert json.loads((two_nodes.folder / f"{TWO}.json").read_text())["from_cache"] == 12
    assert pl.read_parquet(two_nodes.folder / f"{TWO}.parquet").equals(two)
