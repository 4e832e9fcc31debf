"""Compare two models, or two runs, on the same prompts."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.compare import figure
from refusal_stability.experiments.compare.analysis import caption
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo
from refusal_stability.statistics.paired_responses import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--names", nargs="+", required=True, help="of the one or two sides")
    for side in "ab":
        parser.add_argument(
            f"--verdicts-{side}", type=Path, nargs="*", default=[], help="a file a judge, Parquet"
        )
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    sides = [
        {judge: table for (judge, _), table in common.read_verdicts(paths).items()}
        for paths in (args.verdicts_a, args.verdicts_b)
    ]
    names = (*args.names, None)[:2]
    table, changes = compare(
        *sides,
        names,
        storage.read_parquet(args.prompts, PromptInfo),
        (args.statistics["bootstrap_resamples"], args.statistics["bootstrap_seed"]),
        args.statistics["max_invalid_share"],
    )
    common.write(
        args.output,
        "compare",
        {"compare": table, "compare_prompts": changes},
        caption(table, changes, names),
        lambda: figure.compare(table),
    )


if __name__ == "__main__":
    cli.run(main)
