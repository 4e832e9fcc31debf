"""Tables for papers: rounding, intervals, and LaTeX and Markdown that a strict reader accepts."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_grids import tables_of
from helpers.latex_reader import problems
from refusal_stability.report.paper import latex, markdown
from refusal_stability.report.paper.tables import (
    CAPTIONS,
    Column,
    PaperTable,
    contract_of,
    number,
    p_value,
    paper_table,
)
from refusal_stability.schemas.tables import TABLES

# Two judges, two models, three prompts, two temperatures with two seeds.
LABELS = {
    ("good", "m_1"): ["RR RR", "RR RP", "CC RC"],
    ("good", "n&2"): ["CC CC", "CC CC", "CC CU"],
    ("noisy", "m_1"): ["RR RR", "RR RR", "CC CC"],
    ("noisy", "n&2"): ["CC CU", "CC CC", "CC CC"],
}
# Marks that mean something in LaTeX or in Markdown.
HOSTILE = r"a_b&c%d#e$f{g}h~i^j\k<l>m|n" + '"o`p*q[r](s)-2'


@pytest.fixture(scope="module")
def tables() -> dict[str, PaperTable]:
    return {name: paper_table(name, table) for name, table in tables_of(LABELS).items()}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9458, "0.946"),
        (-0.0004, "0.000"),  # no negative zero
        (-0.25, "-0.250"),
        (9.9994, "9.999"),
        (56.3114754098, "56.31"),
        (1234.567, "1,234.6"),
    ],
)
def test_numbers_are_rounded_for_people(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_p_value_is_never_zero() -> None:
    assert [p_value(p) for p in (0.0, 3.6e-12, 0.00099, 0.001, 0.0499, 1.0)] == [
        "<0.001", "<0.001", "<0.001", "0.001", "0.050", "1.000",
    ]  # fmt: skip


def row(**columns: object) -> pl.DataFrame:
    contract = TABLES["thresholds"]
    given = dict.fromkeys(contract.column_names()) | {"judge": "j", "n_prompts": 1234}
    table = pl.DataFrame([given | {"n_invalid": 0} | columns])
    return contract.validate(table.select(contract.column_names()), cast=True)


def test_an_estimate_and_its_interval_are_one_cell() -> None:
    estimate = {"unstable_rate": 0.9458, "unstable_rate_low": 0.9312, "unstable_rate_high": 0.96}
    table = pl.concat(
        [
            row(model="m", threshold=0.75, **estimate),
            row(model="n", threshold=0.75, **estimate | {"unstable_rate_low": None}),
            row(model="o", threshold=0.75, **dict.fromkeys(estimate)),
        ]
    )
    made = paper_table("thresholds", table)
    assert [column.head for column in made.columns] == ["model", "unstable rate"]
    assert made.rows == [("m", "0.946 [0.931, 0.960]"), ("n", "0.946"), ("o", "\N{EN DASH}")]
    # What never varies is said once.
    assert made.same == (
        ("judge", "j"), ("threshold", "0.75"), ("n prompts", "1,234"), ("n invalid", "0")
    )  # fmt: skip
    below = markdown.table(made).splitlines()[-3:]
    assert below == [
        "In every row: judge j, threshold 0.75, n prompts 1,234, n invalid 0.",
        "In brackets: 95% intervals over prompts.",
        "\N{EN DASH}: there is no value.",
    ]


def test_a_single_row_keeps_its_columns() -> None:
    made = paper_table("thresholds", row(model="m", threshold=0.7))
    assert [column.head for column in made.columns] == [
        "judge", "model", "threshold", "n prompts", "n invalid", "unstable rate"
    ]  # fmt: skip


def test_every_table_of_a_run_has_a_caption_and_is_in_order(tables: dict[str, PaperTable]) -> None:
    assert set(TABLES) == set(tables) <= set(CAPTIONS)
    for name, made in tables.items():
        heads = [column.head for column in made.columns]
        assert len(set(heads)) == len(heads), name
        text = latex.table(made)
        assert problems(text) == [], name
        assert rf"\label{{tab:{name}}}" in text
        # Every cell stands in the text once, in the parts of a wide table too, but for the keys.
        if made.rows:
            last = made.columns[-1]
            assert text.count("\\toprule") == text.count("\\bottomrule") >= 1
            assert last.head.split()[-1] in text


def test_nothing_is_a_table_too() -> None:
    for name, contract in TABLES.items():
        made = paper_table(name, contract.create_empty())
        assert problems(latex.table(made)) == []
        assert "The run has nothing for this table." in latex.table(made)
        assert "The run has nothing for this table." in markdown.table(made)


def test_a_wide_table_is_set_in_parts_that_fit_a_page(tables: dict[str, PaperTable]) -> None:
    text = latex.table(tables["models"])
    parts = re.findall(
        r"\\begin\{tabular\}\{@\{\}\w+@\{\}\}\n\\toprule\n(.*?)\\midrule", text, re.S
    )
    assert len(parts) > 1
    for heads in parts:
        assert "judge & model & " in heads
    # A page has 469 points; an estimate takes 20 letters of 4.3, and 12 to the next: four at most.
    assert max(line.count("[0.") for line in text.splitlines()) <= 4


def test_a_long_table_goes_over_pages_and_a_short_one_floats() -> None:
    cells = tuple(map(str, range(latex.MAX_ROWS + 1)))
    for count, kind in ((len(cells) - 1, "table"), (len(cells), "longtable")):
        made = PaperTable("t", "c", (Column("n", cells[:count], True, False),))
        text = latex.table(made)
        assert rf"\begin{{{kind}}}" in text
        assert problems(text) == []


def hostile(name: str) -> PaperTable:
    return paper_table(
        "thresholds",
        pl.concat([row(model=name, threshold=0.7), row(model="[copyright]", threshold=0.8)]),
    )


def test_names_are_no_commands() -> None:
    text = latex.table(hostile(HOSTILE))
    assert problems(text) == []
    # Of the first column, it would be taken for the argument of the row before.
    assert "{}[copyright] & 0.8" in text
    shown = text.replace(r"\allowbreak{}", "")
    assert r"a\_b\&c\%d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k" in shown


def test_names_are_no_markup_on_github() -> None:
    text = markdown.table(hostile(HOSTILE))
    line = next(line for line in text.splitlines() if line.startswith("| a"))
    # GitHub ends a cell at a bar that is not escaped.
    assert len(re.split(r"(?<!\\)\|", line)) == len(hostile("m").columns) + 2
    assert r"a\_b&c%d\#e\$f\{g\}h\~i^j\\k\<l\>m\|n" in line
    assert r"\`p\*q\[r\](s)" in line


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_any_name_gives_a_table_in_order(name: str) -> None:
    assert problems(latex.table(hostile(name))) == []
    for line in markdown.table(hostile(name)).splitlines():
        if line.startswith("|"):
            assert len(re.split(r"(?<!\\)(?:\\\\)*\|", line)) == len(hostile("m").columns) + 2


def test_a_paragraph_has_code_and_no_other_markup() -> None:
    text = "50% of `a_b` & co, <tag>"
    assert latex.paragraph(text) == (
        r"50\% of \texttt{a\allowbreak{}\_\allowbreak{}b} \& co, \textless{}tag\textgreater{}"
    )
    assert markdown.paragraph(text) == r"50% of `a_b` & co, \<tag\>"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (r"a \foo b", r"command \foo"),
        ("50% of it", "unescaped %"),
        ("a_b", "unescaped _"),
        ("{a", "braces"),
        ("}a{", "braces"),
        ("a & b", "& outside of a table"),
        (r"\begin{table}", "table without an end"),
    ],
)
def test_the_strict_reader_finds_what_is_wrong(text: str, problem: str) -> None:
    assert problem in problems(text)


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        (r"a & 1 \\", r"a & 1 & 2 \\", "3 cells in 2 columns"),
        (r"a & 1 \\", r"a & 1", "row without an end"),
        (r"a & 1 \\", r"[a] & 1 \\", "taken for an argument"),
        (r"\midrule", r"\hline", "command \\hline"),
        ("\\toprule\n", "", "rules"),
        ("{@{}lr@{}}", "{@{}l|r@{}}", "layout l|r"),
        ("{@{}lr@{}}", "{lr}", "a table that cannot be read"),
    ],
)
def test_the_strict_reader_finds_a_broken_table(good: str, bad: str, problem: str) -> None:
    table = "\n".join(
        [
            r"\begin{tabular}{@{}lr@{}}",
            r"\toprule",
            r"x & y \\",
            r"\midrule",
            r"a & 1 \\",
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
    assert problems(table) == []
    assert any(found.startswith(problem) for found in problems(table.replace(good, bad)))


def test_experiments_have_contracts_of_their_own() -> None:
    assert contract_of("experiment_scoring") is not contract_of("scoring")
