"""Write a judge's labels of the same texts, given again and again under several conditions."""

import argparse
import json
from pathlib import Path

from refusal_stability.api import budget
from refusal_stability.core import cli
from refusal_stability.engine import multinode
from refusal_stability.experiments.judge_noise import rejudge
from refusal_stability.hub.weights import pinned
from refusal_stability.judging import local
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import NoiseSample, Rejudged
from refusal_stability.settings.judges import with_defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--texts", type=Path, required=True, help="the texts, Parquet")
    parser.add_argument("--repeats", type=int, required=True, help="labels under each condition")
    parser.add_argument("--temperature", type=float, required=True, help="where it is sampled")
    parser.add_argument(
        "--cache", type=Path, required=True, help="answers that are not to be paid for twice"
    )
    parser.add_argument(
        "--budget", nargs=2, metavar=("FILE", "CALLS"), help="counted calls of APIs, and the most"
    )
    parser.add_argument("--output", type=Path, required=True, help="labels, Parquet")
    args = parser.parse_args()
    judge = pinned(with_defaults(args.judge), args.fetched)
    if multinode.number(judge) > 0:
        local.lend_node(judge)
        return
    texts = storage.read_parquet(args.texts, NoiseSample)
    labels = rejudge.rejudge(
        judge,
        texts,
        args.repeats,
        args.temperature,
        args.cache,
        budget.of_arguments(args.budget),
    )
    storage.write_parquet(labels, args.output, Rejudged)
    local.end_engine(judge)


if __name__ == "__main__":
    cli.run(main)
