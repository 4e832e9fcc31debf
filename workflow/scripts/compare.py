"""Compare two models, or two runs, on the same prompts."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiment_figures, experiments, files
from refusal_stability.compare import caption, compare
from refusal_stability.contracts import PromptInfo


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
        {judge: table for (judge, _), table in experiments.read_verdicts(paths).items()}
        for paths in (args.verdicts_a, args.verdicts_b)
    ]
    names = (*args.names, None)[:2]
    table, changes = compare(
        *sides,
        names,
        files.read_parquet(args.prompts, PromptInfo),
        (args.statistics["bootstrap_resamples"], args.statistics["bootstrap_seed"]),
        args.statistics["max_invalid_share"],
    )
    experiments.write(
        args.output,
        "compare",
        {"compare": table, "compare_prompts": changes},
        caption(table, changes, names),
        lambda: experiment_figures.compare(table),
    )


if __name__ == "__main__":
    command.run(main)
