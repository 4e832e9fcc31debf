"""Train one of the demo's models from scratch and write its checkpoint."""

import argparse
from pathlib import Path

from refusal_stability.core import cli, files
from refusal_stability.core.errors import InputError
from refusal_stability.demo import training
from refusal_stability.prompts.demo_corpus import load_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", type=Path, required=True, help="the demo models, YAML")
    parser.add_argument("--corpus", type=Path, required=True, help="the text to learn, YAML")
    parser.add_argument("--rubric", type=Path, required=True, help="what judges are told, text")
    parser.add_argument("--name", required=True, help="which of the demo models")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint, a folder")
    args = parser.parse_args()
    specs = training.load_specs(args.spec)
    if args.name not in specs:
        raise InputError(
            f"{args.spec}: no demo model '{args.name}'. Hint: there are {', '.join(specs)}"
        )
    model, tokenizer = training.train(
        specs[args.name], load_corpus(args.corpus), files.read_text(args.rubric)
    )
    model.save_pretrained(args.output)
    tokenizer.save_pretrained(args.output)


if __name__ == "__main__":
    cli.run(main)
