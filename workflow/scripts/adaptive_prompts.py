"""Write the prompts of phase 2 of an adaptive sample: not settled yet, or audited."""

import argparse
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.adaptive.estimator import audited, settled
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts
from refusal_stability.statistics import run_arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--verdicts", type=Path, required=True, help="of phase 1, Parquet")
    parser.add_argument("--audit", type=float, required=True, help="share of settled prompts")
    parser.add_argument("--seed", type=int, required=True, help="of the draw of the audit")
    parser.add_argument("--output", type=Path, required=True, help="prompts, Parquet")
    args = parser.parse_args()
    prompts = storage.read_parquet(args.prompts, Prompts)
    grid = run_arrays.grid_of(common.read_verdicts([args.verdicts]), prompts["prompt_id"].to_list())
    (labels,) = grid.labels.values()
    is_settled = settled(labels[0])
    again = ~is_settled | audited(is_settled, args.audit, args.seed)
    storage.write_parquet(prompts.filter(again), args.output, Prompts)


if __name__ == "__main__":
    cli.run(main)
