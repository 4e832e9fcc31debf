"""Published figures against the tables: verdicts, definitions, and what is missing."""

from pathlib import Path

import polars as pl
import pytest

from helpers.workspace import REPOSITORY
from refusal_stability.core.errors import InputError
from refusal_stability.report.replication import read_figures, replication
from refusal_stability.schemas.tables import REPLICATION, TABLES

FIGURES = REPOSITORY / "resources/published_figures.yaml"
MODELS = pl.DataFrame(
    {"judge": ["j"] * 3, "model": ["m", "n", "all"], "mean_ssi": [0.91, 0.97, 0.94]}
)


def figure(paper: float, *definitions: dict, **other: object) -> dict:
    return {
        "id": "f",
        "where": "somewhere",
        "paper": paper,
        "digits": 2,
        "definitions": definitions,
    } | other


def ssi(model: object, **other: object) -> dict:
    rows = {"judge": "j", "model": model}
    return {
        "definition": f"ssi of {model}",
        "table": "models",
        "value": "mean_ssi",
        "rows": rows,
    } | other


def only(one: dict) -> dict:
    return replication([one], {"models": MODELS}).row(0, named=True)


@pytest.mark.parametrize(
    ("paper", "verdict"),
    [
        # 0.91 at two digits is anything from 0.905 to 0.915.
        (0.914, "reproduced"),
        (0.9151, "not reproduced"),
        (0.9049, "not reproduced"),
    ],
)
def test_a_figure_is_reproduced_to_its_printed_digits(paper: float, verdict: str) -> None:
    row = only(figure(paper, ssi("m")))
    assert row["verdict"] == verdict
    assert row["recomputed"] == pytest.approx(0.91)
    assert row["difference"] == pytest.approx(0.91 - paper)
    assert row["definition"] == "ssi of m"


def test_a_tolerance_takes_the_place_of_the_digits() -> None:
    assert only(figure(0.9151, ssi("m"), tolerance=0.01))["verdict"] == "reproduced"


def test_another_definition_is_named() -> None:
    row = only(figure(0.97, ssi("m"), ssi("n")))
    assert (row["verdict"], row["definition"]) == (
        "reproduced under another definition",
        "ssi of n",
    )


def test_what_no_definition_gives_shows_the_own_one() -> None:
    row = only(figure(0.5, ssi("m"), ssi("n")))
    assert (row["verdict"], row["recomputed"]) == ("not reproduced", pytest.approx(0.91))


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(figure(0.9), id="no definition"),
        pytest.param(figure(0.94, ssi("all"), models=["m", "absent"]), id="a model is absent"),
        pytest.param(figure(0.94, ssi("absent")), id="no such row"),
        pytest.param(figure(0.94, ssi(["m", "n"])), id="two rows where one is asked"),
    ],
)
def test_what_the_run_lacks_is_not_given(missing: dict) -> None:
    row = only(missing)
    assert row["verdict"] == "data not given"
    assert (row["recomputed"], row["difference"], row["definition"]) == (None, None, None)


@pytest.mark.parametrize(("how", "value"), [("mean", 0.94), ("min", 0.91), ("max", 0.97)])
def test_rows_become_one_number(how: str, value: float) -> None:
    assert only(figure(value, ssi(["m", "n"], of_rows=how)))["recomputed"] == pytest.approx(value)


def test_a_value_is_an_expression_over_columns() -> None:
    row = only(figure(0.09, ssi("m", value="1 - mean_ssi")))
    assert row["recomputed"] == pytest.approx(0.09)


def test_the_published_figures_name_what_the_tables_have() -> None:
    figures = read_figures(FIGURES)
    assert len({one["id"] for one in figures}) == len(figures)
    tables = {name: contract.create_empty() for name, contract in TABLES.items()}
    # No run: every definition is tried on empty tables, so an unknown column would raise.
    for one in figures:
        one.pop("models", None)
    table = REPLICATION.validate(replication(figures, tables), cast=True)
    assert set(table["verdict"]) == {"data not given"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML"),
        ("", "no list of figures"),
        ("- id: a\n  where: b\n  paper: 1\n", "figure 1: no digits"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "figures.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as caught:
        read_figures(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_recomputed_friedman_test_is_that_of_exact_ranks() -> None:
    paper = {figure["id"]: figure["paper"] for figure in read_figures(FIGURES)}
    assert paper["friedman_chi2.by_prompt"] == 301.157
    # W = chi2 / (n (k - 1)), of 876 prompts and 4 temperatures: 301.157 / 2628.
    assert paper["kendalls_w.by_prompt"] == round(301.157 / (876 * 3), 4) == 0.1146
