"""Estimate from an adaptive sample, or replay one on labels, and say what it saves."""

from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_name
from refusal_stability.costs.design_hours import DesignHours
from refusal_stability.experiments import common
from refusal_stability.experiments.adaptive import figure
from refusal_stability.experiments.adaptive.analysis import adaptive, caption


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--further", type=Path, nargs="*", default=[], help="those of phase 2, if apart"
    )
    parser.add_argument("--first", type=int, required=True, help="number of seeds of phase 1")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="else those of labels")
    parser.add_argument("--audit", type=float, required=True, help="share of settled prompts")
    parser.add_argument("--draw", type=int, required=True, help="seed of the draw of the audit")
    parser.add_argument("--run", type=Path, required=True, help="folder of jobs like these")
    args = parser.parse_args()
    judged = common.read_verdicts(args.verdicts)
    for key, table in common.read_verdicts(args.further).items():
        judged[key] = pl.concat([judged[key], table])
    grid = common.grid_of(args, judged)
    first = (args.seeds or grid.seeds)[: args.first]
    cells = [cell_name(temperature, seed) for temperature in grid.scopes[1:] for seed in first]
    table = adaptive(
        grid,
        first,
        args.audit,
        args.draw,
        DesignHours(args.run, cells, len(grid.temperatures)),
        replayed=not args.seeds,
    )
    common.write(
        args.output,
        "adaptive",
        {"adaptive": table},
        caption(table, len(first), len(grid.seeds)),
        lambda: figure.adaptive(table),
    )


if __name__ == "__main__":
    cli.run(main)
