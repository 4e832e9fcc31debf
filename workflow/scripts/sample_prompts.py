"""Write a sample of the prompts, with as large a share of each category."""

import argparse
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.experiments.pilot.analysis import stratified_sample
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--number", type=int, required=True, help="how many to draw")
    parser.add_argument("--seed", type=int, required=True, help="of the draw")
    parser.add_argument("--output", type=Path, required=True, help="prompts, Parquet")
    args = parser.parse_args()
    prompts = storage.read_parquet(args.prompts, PromptInfo)
    contract = PromptInfo
    # Of labels there is no text.
    if "prompt" in pl.read_parquet_schema(args.prompts):
        contract = Prompts
        prompts = storage.read_parquet(args.prompts, contract)
    categories = prompts["category"].fill_null("(none)").to_numpy()
    drawn = stratified_sample(categories, args.number, args.seed)
    storage.write_parquet(prompts[drawn], args.output, contract)


if __name__ == "__main__":
    cli.run(main)
