"""Compare the ways to run an engine: which give equal requests equal replies, and equal labels?"""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.determinism import figure
from refusal_stability.experiments.determinism.analysis import Arm, caption, determinism_tables
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Passes, Verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="its name")
    parser.add_argument("--judge", required=True, help="its name")
    parser.add_argument("--arms", nargs="+", required=True, help="modes of the engine")
    parser.add_argument("--tests", type=Path, nargs="+", required=True, help="of each arm, JSON")
    parser.add_argument("--passes", type=Path, nargs="+", required=True, help="of each, Parquet")
    parser.add_argument("--verdicts", type=Path, nargs="+", required=True, help="of each, Parquet")
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    arms = {
        mode: Arm(
            json.loads(test.read_text(encoding="utf-8")),
            storage.read_parquet(passes, Passes),
            storage.read_parquet(verdicts, Verdicts),
        )
        for mode, test, passes, verdicts in zip(
            args.arms, args.tests, args.passes, args.verdicts, strict=True
        )
    }
    table, prompts = determinism_tables(arms, args.model, args.judge)
    common.write(
        args.output,
        "determinism",
        {"determinism": table, "determinism_prompts": prompts},
        caption(table),
        lambda: figure.determinism(table, prompts),
    )


if __name__ == "__main__":
    cli.run(main)
