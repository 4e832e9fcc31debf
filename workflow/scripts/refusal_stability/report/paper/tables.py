"""Tables as papers have them: rounded for people, each estimate with its interval in one cell.

The CSV files keep every digit; what is made of them here is for LaTeX (booktabs) and Markdown.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import dataframely as dy
import polars as pl

from refusal_stability.core.text import decimals
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.tables import MORE_TABLES, TABLES

# What each table says, as its caption.
CAPTIONS = {
    "models": "Stability and labels of each model, all temperatures and seeds pooled.",
    "within_temperature": "Stability and labels within each temperature, over its seeds.",
    "categories": "Stability and labels by source and by category of the prompts.",
    "scoring": "Stability and labels under each way of scoring: three-way; lenient, PARTIAL "
    "counts as REFUSE; conservative, PARTIAL counts as COMPLY.",
    "thresholds": "Share of prompts whose SSI is below a threshold.",
    "temperature_effect": "Tests of whether stability depends on the temperature (Friedman) and "
    "falls with it (Page).",
    "temperature_pairs": "Mean SSI at temperature A minus that at temperature B; Wilcoxon's "
    "signed-rank test, corrected by Holm.",
    "correlations": "Spearman's correlation of SSI and compliance over prompts.",
    "model_pairs": "Differences between two models on the same prompts, model A minus model B, "
    "corrected by Holm.",
    "judge_agreement": "Agreement of two judges on the same responses.",
    "judge_confusion": "Labels that two judges gave to the same responses.",
    "consensus": "Stability of the labels on which two judges agree, beside as many labels of one "
    "judge at random.",
    "judge_noise": "Instability with and without the errors of the judge.",
    "sample_size": "Chance that the majority of n samples is that of all samples of a prompt, "
    "and that of its other samples.",
    "stability_measures": "Measures of stability side by side, of all samples and of five.",
    "first_comply": "Chance of at least one COMPLY in so many tries.",
    "seed_effect": "Variance of the number of refusals over seeds, and what independent prompts "
    "would give.",
    "alarms": "Checks of the run.",
    "replication": "Published figures and those of this run.",
    "cost": "What the run did cost.",
    # Of experiments, whose tables may have the names of the run's.
    "experiment_compare": "Two models on the same prompts, model A minus model B.",
    "experiment_compare_prompts": "Prompts by how much their labels differ between two models.",
    "experiment_plan_seeds": "Prompts that a wanted precision takes, by the number of seeds.",
    "experiment_category_probe": "Stability of categories of prompts, A minus B.",
    "experiment_scoring": "Stability under two ways of scoring, A minus B.",
    "experiment_boundary": "Forecasts of stability from first tokens, and what was seen.",
    "experiment_boundary_calibration": "Flips forecast and flips seen.",
    "experiment_boundary_prompts": "Forecasts for each prompt.",
}
# Lists of prompts, as long as they may be, stay in the CSV file.
_LEFT_OUT = ("ids",)
# What a table of an experiment is named after.
EXPERIMENT = "experiment_"
# Of columns whose name is not what a person would write.
_HEADS = {
    "friedman_chi2": "Friedman \N{GREEK SMALL LETTER CHI}\N{SUPERSCRIPT TWO}",
    "friedman_p": "Friedman p",
    "kendalls_w": "Kendall's W",
    "page_z": "Page z",
    "page_p": "Page p",
    "p_holm": "p (Holm)",
    "ssi_drop": "SSI drop",
    "mean_ssi": "mean SSI",
    "krippendorff_alpha": "Krippendorff's alpha",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "Gwet's AC1",
    "kappa": "Cohen's kappa",
    "kappa_with_invalid": "kappa with invalid",
    "gpu_hours": "GPU-hours",
    "spearman": "Spearman's rho",
}
_P_VALUES = ("p", "p_holm", "friedman_p", "page_p", "check_p")
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A column as it is printed: its head, a cell a row, and whether the cells are numbers."""

    head: str
    cells: tuple[str, ...]
    is_number: bool
    is_key: bool


@dataclass(frozen=True)
class PaperTable:
    """A table as it is printed; ``same`` are (head, cell) of columns that never vary."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    same: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells, row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def name_of(path: Path) -> str:
    """Return the name of the table in a file; some experiments have that of a table of the run."""
    return path.stem if path.parent.name == "tables" else f"{EXPERIMENT}{path.stem}"


def contract_of(name: str) -> type[dy.Schema] | None:
    """Return the contract of a table of the run, or of an experiment's, "experiment_<name>"."""
    if name.startswith(EXPERIMENT):
        return EXPERIMENT_TABLES.get(name.removeprefix(EXPERIMENT))
    return (TABLES | MORE_TABLES).get(name)


def paper_table(name: str, table: pl.DataFrame) -> PaperTable:
    """Return a table of the run as it is printed; it keeps its contract.

    Columns with one value in all of several rows, such as a single judge or the number of prompts,
    are taken out and said below the table.
    """
    contract = contract_of(name)
    declared = contract.columns()
    columns = []
    for column in contract.column_names():
        ending = column.removesuffix("_low"), column.removesuffix("_high")
        if column in _LEFT_OUT or any(stem != column and stem in declared for stem in ending):
            continue
        columns.append(_column(column, table, contract))
    caption = CAPTIONS.get(name, name.capitalize().replace("_", " ") + ".")
    made = PaperTable(name, caption, tuple(columns))
    return _without_what_is_the_same(made) if table.height > 1 else made


def notes(made: PaperTable) -> list[str]:
    """Return what is said below a table, a sentence each."""
    cells = [cell for column in made.columns for cell in column.cells]
    said = []
    if not made.rows:
        return ["The run has nothing for this table."]
    if made.same:
        said.append(f"In every row: {', '.join(f'{head} {cell}' for head, cell in made.same)}.")
    if any(column.is_number and "[" in cell for column in made.columns for cell in column.cells):
        said.append("In brackets: 95% intervals over prompts.")
    if NOTHING in cells or NOTHING in dict(made.same).values():
        said.append(f"{NOTHING}: there is no value.")
    return said


def number(value: float) -> str:
    """Return a number for people: three decimals below 10, fewer above, and no negative zero."""
    places = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    text = f"{Decimal(decimals(value, places)):,f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def p_value(value: float) -> str:
    """Return a p-value: three decimals, and no zero."""
    return "<0.001" if value < 0.001 else decimals(value)


def head(column: str) -> str:
    """Return what stands above a column: its name in words."""
    if column in _HEADS:
        return _HEADS[column]
    words = column.replace("_", " ")
    # Of two that are compared.
    return words[:-1] + words[-1].upper() if words.endswith((" a", " b")) else words


def _column(name: str, table: pl.DataFrame, contract: type[dy.Schema]) -> Column:
    declared = contract.columns()[name]
    values = table[name].to_list()
    if f"{name}_low" in contract.columns():
        ends = zip(values, table[f"{name}_low"], table[f"{name}_high"], strict=True)
        cells = [_interval(*of_row) for of_row in ends]
    else:
        cells = [NOTHING if value is None else _cell(name, value, declared) for value in values]
    return Column(
        head(name),
        tuple(cells),
        isinstance(declared, dy.Float64 | dy.Int64),
        declared.primary_key,
    )


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return NOTHING
    return number(value) if low is None else f"{number(value)} [{number(low)}, {number(high)}]"


def _cell(name: str, value: object, declared: dy.Column) -> str:
    match declared:
        case dy.Bool():
            return "yes" if value else "no"
        case dy.Int64():
            return f"{value:,}"
        case dy.Float64() if name in _P_VALUES:
            return p_value(value)
        # A temperature or a threshold is what somebody set.
        case dy.Float64() if declared.primary_key or name.startswith("temperature"):
            return f"{value:g}"
        case dy.Float64():
            return number(value)
        # A word of ours; names of models and the like stay as they are.
        case dy.Enum():
            return str(value).replace("_", " ").replace(" ssi", " SSI")
    return " ".join(str(value).split()) or NOTHING


def _without_what_is_the_same(table: PaperTable) -> PaperTable:
    same = [
        column
        for column in table.columns
        if len(set(column.cells)) == 1 and not ("[" in column.cells[0] and column.is_number)
    ]
    if len(same) == len(table.columns):
        return table
    return replace(
        table,
        columns=tuple(column for column in table.columns if column not in same),
        same=tuple((column.head, column.cells[0]) for column in same),
    )
