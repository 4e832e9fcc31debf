from pathlib import Path

import polars as pl
import pytest

from refusal_stability.files import write_csv
from refusal_stability.live_tables import LiveTables
from refusal_stability.table_contracts import TABLES

AGREEMENT = {
    "judge_a": ["007"],
    "judge_b": ['a, "b"'],
    "model": ["1e3"],
    "n": [10],
    "n_invalid": [0],
    "agreement": [1 / 3],
    "agreement_low": [0.0],
    "agreement_high": [1.0],
    "kappa": [None],
    "kappa_low": [None],
    "kappa_high": [None],
}


def test_names_stay_text_numbers_become_numbers_and_nothing_none(tmp_path: Path) -> None:
    contract = TABLES["judge_agreement"]
    write_csv(pl.DataFrame(AGREEMENT), tmp_path / "judge_agreement.csv", contract)
    (row,) = LiveTables(tmp_path).rows("judge_agreement")
    assert row == {name: values[0] for name, values in AGREEMENT.items()}
    assert list(row) == contract.column_names()


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_text_is_known(name: str, tmp_path: Path) -> None:
    # A contract's column of text that is not known as such would be read as a number, and fail.
    row = {
        column: "word" if declared.dtype in (pl.String, pl.Enum) else "0.5"
        for column, declared in TABLES[name].columns().items()
    }
    lines = [",".join(row), ",".join(row.values())]
    (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (read,) = LiveTables(tmp_path).rows(name)
    assert read == {column: text if text == "word" else 0.5 for column, text in row.items()}


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "judge_agreement.csv").write_text(",".join(AGREEMENT) + "\n")
    assert LiveTables(tmp_path).rows("judge_agreement") == []
