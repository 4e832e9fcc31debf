"""Download the study's published labels, once, and check them."""

import argparse
from pathlib import Path

import yaml

from refusal_stability.core import cli
from refusal_stability.core.repository import own_file
from refusal_stability.imported_labels.published import fetch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sources = Path(own_file("resources/published_labels.yaml"))
    parser.add_argument("--sources", type=Path, default=sources)
    parser.add_argument("--folder", type=Path, default=Path("published"))
    args = parser.parse_args()
    sources = yaml.safe_load(args.sources.read_text(encoding="utf-8"))
    for path in fetch(sources["archive"], sources["files"], args.folder):
        print(path)


if __name__ == "__main__":
    cli.run(main)
