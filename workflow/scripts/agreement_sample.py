"""Draw the sample of responses that all judges label, and show it to a person without labels."""

import argparse
from pathlib import Path

from refusal_stability import agreement_sample, command, experiments, files
from refusal_stability.contracts import AgreementSample, Prompts, ToLabel


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
    responses = agreement_sample.strata_of(experiments.read_verdicts(args.verdicts))
    sample = agreement_sample.draw(responses, args.size)
    if args.to_label:
        prompts = files.read_parquet(args.prompts, Prompts)
        shown = agreement_sample.to_label(sample, args.responses, prompts)
        files.write_parquet(shown, args.to_label, ToLabel)
    files.write_parquet(sample, args.sample, AgreementSample)


if __name__ == "__main__":
    command.run(main)
