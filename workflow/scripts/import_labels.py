"""Turn files of labels into the verdicts and prompts of a run."""

import argparse
import json
import sys
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.imported_labels.load import load_labels
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, nargs="+", required=True, help="CSV or Parquet")
    parser.add_argument("--prompt-info", type=Path, help="CSV or Parquet, a row a prompt")
    parser.add_argument("--model-aliases", type=json.loads, required=True, help="as JSON")
    parser.add_argument("--judge-aliases", type=json.loads, required=True, help="as JSON")
    parser.add_argument("--verdicts", type=Path, required=True, help="folder of the verdicts")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest, JSON")
    args = parser.parse_args()
    labels = load_labels(args.labels, args.model_aliases, args.judge_aliases, args.prompt_info)
    for judge, model, verdicts in labels.verdicts():
        storage.write_parquet(verdicts, args.verdicts / judge / f"{model}.parquet", Verdicts)
    storage.write_parquet(labels.prompts, args.prompts, PromptInfo)
    storage.write_json(labels.manifest, args.manifest)
    print(
        f"{labels.manifest['count']} labels of {labels.manifest['prompts']} prompts",
        file=sys.stderr,
    )


if __name__ == "__main__":
    cli.run(main)
