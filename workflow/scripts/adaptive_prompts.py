"""Write the prompts of phase 2 of an adaptive sample: not settled yet, or audited."""

import argparse
from pathlib import Path

from refusal_stability import command, experiments, files
from refusal_stability.adaptive import audited, settled
from refusal_stability.contracts import Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--verdicts", type=Path, required=True, help="of phase 1, Parquet")
    parser.add_argument("--audit", type=float, required=True, help="share of settled prompts")
    parser.add_argument("--seed", type=int, required=True, help="of the draw of the audit")
    parser.add_argument("--output", type=Path, required=True, help="prompts, Parquet")
    args = parser.parse_args()
    prompts = files.read_parquet(args.prompts, Prompts)
    grid = experiments.grid_of(
        experiments.read_verdicts([args.verdicts]), prompts["prompt_id"].to_list()
    )
    (labels,) = grid.labels.values()
    is_settled = settled(labels[0])
    again = ~is_settled | audited(is_settled, args.audit, args.seed)
    files.write_parquet(prompts.filter(again), args.output, Prompts)


if __name__ == "__main__":
    command.run(main)
