"""Write a judge's labels of the same texts, given again and again under several conditions."""

import argparse
import json
from pathlib import Path

from refusal_stability import budget, command, files, judging_engine, nodes, rejudging
from refusal_stability.contracts import NoiseSample, Rejudged
from refusal_stability.hub_weights import pinned
from refusal_stability.judge_settings import complete


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
    judge = pinned(complete(args.judge), args.fetched)
    if nodes.number(judge) > 0:
        judging_engine.lend_node(judge)
        return
    texts = files.read_parquet(args.texts, NoiseSample)
    labels = rejudging.rejudge(
        judge,
        texts,
        args.repeats,
        args.temperature,
        args.cache,
        budget.of_arguments(args.budget),
    )
    files.write_parquet(labels, args.output, Rejudged)
    judging_engine.end_engine(judge)


if __name__ == "__main__":
    command.run(main)
