"""Compare judges on a sample of the responses."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.judge_agreement import figure
from refusal_stability.experiments.judge_agreement import sample as agreement_sample
from refusal_stability.experiments.judge_agreement.analysis import (
    caption,
    compare_judges,
    labelled,
    sampled_responses,
)
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import AgreementSample
from refusal_stability.statistics.bootstrap import Resamples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--sample", type=Path, required=True, help="ids of the sample, Parquet")
    parser.add_argument(
        "--verdicts",
        type=Path,
        nargs="+",
        required=True,
        help="files <judge>/<model>.parquet; those of the judge by whom the sample was drawn first",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    judged = common.read_verdicts(args.verdicts)
    sample = labelled(
        agreement_sample.strata_of(judged),
        storage.read_parquet(args.sample, AgreementSample),
        judged,
    )
    resamples = Resamples(
        len(sample.prompt_ids),
        args.statistics["bootstrap_resamples"],
        args.statistics["bootstrap_seed"],
    )
    table, confusion = compare_judges(sample, resamples)
    responses = sampled_responses(sample)
    common.write(
        args.output,
        "judge_agreement",
        {
            "judge_agreement": table,
            "judge_agreement_confusion": confusion,
            "judge_agreement_responses": responses,
        },
        caption(table, responses),
        lambda: figure.draw(table, confusion),
    )


if __name__ == "__main__":
    cli.run(main)
