"""Say how often judges' labels change with nothing else changing, and correct the flip rate."""

from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.judge_noise import (
    analysis,
    caption,
    corrected_flips,
    figure,
    sample,
)
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import NoiseSample, Rejudged
from refusal_stability.statistics.bootstrap import Resamples


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--texts", type=Path, required=True, help="the texts, Parquet")
    parser.add_argument(
        "--rejudged", type=Path, nargs="+", required=True, help="their labels, a file a judge"
    )
    args = parser.parse_args()
    prompt_ids = common.prompts_of(args)["prompt_id"].to_list()
    resamples = Resamples(len(prompt_ids), *common.bootstrap_of(args))
    again = pl.concat(storage.read_parquet(path, Rejudged) for path in args.rejudged)
    run: dict[str, list[pl.DataFrame]] = {}
    for (judge, model), table in common.read_verdicts(args.verdicts).items():
        run.setdefault(judge, []).append(sample.texts_of(model, table))
    texts_of_run = {judge: pl.concat(tables) for judge, tables in run.items()}
    labels = analysis.labels_of(storage.read_parquet(args.texts, NoiseSample), again, texts_of_run)
    table = analysis.noise(labels, prompt_ids, resamples)
    flips = corrected_flips.corrected_flips(labels, texts_of_run, prompt_ids, resamples)
    common.write(
        args.output,
        "judge_noise",
        {"judge_noise": table, "judge_noise_flips": flips},
        caption.caption(table, flips),
        lambda: figure.draw(table, flips),
    )


if __name__ == "__main__":
    cli.run(main)
