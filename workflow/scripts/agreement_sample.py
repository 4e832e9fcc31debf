"""Draw the sample of responses that all judges label, and show it to a person without labels."""

import argparse
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.judge_agreement import sample as agreement_sample
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import AgreementSample, LabelingTask, Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, required=True, help="how many responses")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="a judge's, <judge>/<model>.parquet"
    )
    parser.add_argument(
        "--responses", type=Path, required=True, help="a folder a model, with its cells in Parquet"
    )
    parser.add_argument("--sample", type=Path, required=True, help="ids of the sample, Parquet")
    parser.add_argument(
        "--to-label", type=Path, nargs="?", help="its text, Parquet; not where a run has none"
    )
    args = parser.parse_args()
    responses = agreement_sample.strata_of(common.read_verdicts(args.verdicts))
    sample = agreement_sample.draw(responses, args.size)
    if args.to_label:
        prompts = storage.read_parquet(args.prompts, Prompts)
        shown = agreement_sample.to_label(sample, args.responses, prompts)
        storage.write_parquet(shown, args.to_label, LabelingTask)
    storage.write_parquet(sample, args.sample, AgreementSample)


if __name__ == "__main__":
    cli.run(main)
