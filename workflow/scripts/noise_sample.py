"""Draw the texts that judges are asked about again and again."""

import argparse
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.judge_agreement import sample as agreement_sample
from refusal_stability.experiments.judge_noise import sample as noise_sample
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import NoiseSample, Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, required=True, help="how many texts")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="a judge's, <judge>/<model>.parquet"
    )
    parser.add_argument(
        "--responses", type=Path, required=True, help="a folder a model, with its cells in Parquet"
    )
    parser.add_argument("--output", type=Path, required=True, help="the texts, Parquet")
    args = parser.parse_args()
    judged = common.read_verdicts(args.verdicts)
    texts = pl.concat(noise_sample.texts_of(model, table) for (_, model), table in judged.items())
    drawn = noise_sample.draw(texts, args.size)
    prompts = storage.read_parquet(args.prompts, Prompts)
    shown = agreement_sample.to_label(drawn, args.responses, prompts)
    storage.write_parquet(shown, args.output, NoiseSample)


if __name__ == "__main__":
    cli.run(main)
