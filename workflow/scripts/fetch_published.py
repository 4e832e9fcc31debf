"""Download the study's published labels, once, and check them."""

import argparse
from pathlib import Path

import yaml

from refusal_stability import command
from refusal_stability.published_labels import fetch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, default=Path("resources/published_labels.yaml"))
    parser.add_argument("--folder", type=Path, default=Path("published"))
    args = parser.parse_args()
    sources = yaml.safe_load(args.sources.read_text(encoding="utf-8"))
    for path in fetch(sources["archive"], sources["files"], args.folder):
        print(path)


if __name__ == "__main__":
    command.run(main)
