"""Say how often judges' labels change with nothing else changing, and correct the flip rate."""

from pathlib import Path

import polars as pl

from refusal_stability import (
    command,
    experiment_inputs,
    experiments,
    files,
    judge_noise_caption,
    judge_noise_figure,
    noise_sample,
    rejudged,
    rejudged_flips,
)
from refusal_stability.contracts import NoiseSample, Rejudged
from refusal_stability.resampling import Resamples


def main() -> None:
    parser = experiment_inputs.parser(__doc__)
    parser.add_argument("--texts", type=Path, required=True, help="the texts, Parquet")
    parser.add_argument(
        "--rejudged", type=Path, nargs="+", required=True, help="their labels, a file a judge"
    )
    args = parser.parse_args()
    prompt_ids = experiment_inputs.prompts_of(args)["prompt_id"].to_list()
    resamples = Resamples(len(prompt_ids), *experiment_inputs.bootstrap_of(args))
    again = pl.concat(files.read_parquet(path, Rejudged) for path in args.rejudged)
    run: dict[str, list[pl.DataFrame]] = {}
    for (judge, model), table in experiments.read_verdicts(args.verdicts).items():
        run.setdefault(judge, []).append(noise_sample.texts_of(model, table))
    texts_of_run = {judge: pl.concat(tables) for judge, tables in run.items()}
    labels = rejudged.labels_of(files.read_parquet(args.texts, NoiseSample), again, texts_of_run)
    table = rejudged.noise(labels, prompt_ids, resamples)
    flips = rejudged_flips.corrected_flips(labels, texts_of_run, prompt_ids, resamples)
    experiments.write(
        args.output,
        "judge_noise",
        {"judge_noise": table, "judge_noise_flips": flips},
        judge_noise_caption.caption(table, flips),
        lambda: judge_noise_figure.draw(table, flips),
    )


if __name__ == "__main__":
    command.run(main)
