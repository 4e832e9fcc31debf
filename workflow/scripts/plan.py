"""Print the plan of a run, from what `snakemake --summary` says on standard input."""

import argparse
import csv
import json
import sys

from refusal_stability.core import cli
from refusal_stability.costs.plan import make_plan
from refusal_stability.costs.plan_text import plan_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="run and configuration, as JSON"
    )
    args = parser.parse_args()
    pending = {
        row["output_file"]: row["rule"]
        for row in csv.DictReader(sys.stdin, delimiter="\t", quoting=csv.QUOTE_NONE)
        if row["plan"] == "update pending"
    }
    if "models" not in args.settings:
        print("This run starts from labels: no model and no judge is asked, nothing is to be paid.")
        return
    print(plan_text(args.settings, make_plan(args.settings, set(pending)), pending))


if __name__ == "__main__":
    cli.run(main)
