"""Write the verdicts of a judge that is no part of the run on a sample of the responses."""

import argparse
import json
from pathlib import Path

import polars as pl

from refusal_stability.api import budget
from refusal_stability.cache.results import ResultCache
from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.engine import multinode
from refusal_stability.hub.weights import pinned
from refusal_stability.judging import judge as judging
from refusal_stability.judging import local
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import AgreementSample, Prompts, Responses, Verdicts
from refusal_stability.settings.judges import with_defaults

RESPONSE = ["prompt_id", "temperature", "seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--sample", type=Path, required=True, help="ids of the sample, Parquet")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--responses", type=Path, required=True, help="a folder a model, with its cells in Parquet"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="verdicts, <model>.parquet each"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="manifest, JSON")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder of what is not to be paid for twice"
    )
    parser.add_argument("--shared-cache", type=Path, help="folder of verdicts, of all runs")
    parser.add_argument(
        "--budget", nargs=2, metavar=("FILE", "CALLS"), help="counted calls of APIs, and the most"
    )
    args = parser.parse_args()
    judge = pinned(with_defaults(args.judge), args.fetched)
    if multinode.number(judge) > 0:
        local.lend_node(judge)
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    sample = storage.read_parquet(args.sample, AgreementSample)
    manifests = {}
    for path in args.output:
        model = path.stem
        sampled = sample.filter(model=model).select(RESPONSE)
        cells = cell_files(args.responses / model, args.temperatures, args.seeds)
        responses = pl.concat(storage.read_parquet(cell, Responses) for cell in cells)
        # A person's file may hold more than the sample; it is checked as a whole.
        if judge["kind"] != "human":
            responses = responses.join(sampled, on=RESPONSE, how="semi", maintain_order="left")
        cache = args.cache / f"{model}.jsonl"
        if "weights" in judge:
            # One engine for all models.
            cache = args.shared_cache and ResultCache(args.shared_cache, "model")
        verdicts, manifests[model] = judging.judge_model(
            judge, model, prompts, responses, cache, budget.of_arguments(args.budget)
        )
        verdicts = verdicts.join(sampled, on=RESPONSE, how="semi", maintain_order="left")
        storage.write_parquet(verdicts, path, Verdicts)
    storage.write_json(manifests, args.manifest)
    local.end_engine(judge)


if __name__ == "__main__":
    cli.run(main)
