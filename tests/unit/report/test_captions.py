from pathlib import Path

import polars as pl
import pytest

from refusal_stability.report.captions import CaptionTables
from refusal_stability.schemas.storage import write_csv
from refusal_stability.schemas.tables import COST, TABLES

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
    **{
        f"{name}{end}": [None]
        for name in ("krippendorff_alpha", "gwet_ac1")
        for end in ("", "_low", "_high")
    },
    "agreement_with_invalid": [0.3],
    "kappa_with_invalid": [None],
    "krippendorff_alpha": [None],
    "krippendorff_alpha_low": [None],
    "krippendorff_alpha_high": [None],
    "gwet_ac1": [-0.5],
    "gwet_ac1_low": [-1.0],
    "gwet_ac1_high": [0.0],
}


def write(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def test_names_stay_text_numbers_become_numbers_and_nothing_none(tmp_path: Path) -> None:
    contract = TABLES["judge_agreement"]
    write_csv(pl.DataFrame(AGREEMENT), tmp_path / "judge_agreement.csv", contract)
    (row,) = CaptionTables(tmp_path).rows("judge_agreement")
    assert row == {name: values[0] for name, values in AGREEMENT.items()}
    assert list(row) == contract.column_names()


@pytest.mark.parametrize("name", [*TABLES, "cost"])
def test_every_column_of_text_is_known(name: str, tmp_path: Path) -> None:
    # A contract's column of text that is not known as such would be read as a number, and fail.
    row = {
        column: "word" if declared.dtype in (pl.String, pl.Enum, pl.Boolean) else "0.5"
        for column, declared in (TABLES | {"cost": COST})[name].columns().items()
    }
    write(tmp_path, name, [row])
    (read,) = CaptionTables(tmp_path).rows(name)
    assert read == {column: text if text == "word" else 0.5 for column, text in row.items()}


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "judge_agreement.csv").write_text(",".join(AGREEMENT) + "\n")
    assert CaptionTables(tmp_path).rows("judge_agreement") == []


def test_rows_are_picked_by_their_keys(tmp_path: Path) -> None:
    rows = [{"judge": judge, "model": model} for judge in "ab" for model in ("m", "n", "all")]
    write(tmp_path, "models", rows)
    tables = CaptionTables(tmp_path)
    assert tables.rows("models") == rows
    assert tables.rows("models", judge="b", model="all") == [{"judge": "b", "model": "all"}]
    assert tables.each_model("models", judge="a") == rows[:3]


def test_all_models_are_left_out_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path, "models", [{"model": "m"}, {"model": "all"}])
    assert CaptionTables(tmp_path).each_model("models") == [{"model": "m"}]


def test_seeds_are_one_where_nothing_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "seed_effect.csv").write_text("judge,model,n_seeds\n")
    assert CaptionTables(tmp_path).seeds() == 1
    write(tmp_path, "seed_effect", [{"judge": "j", "model": "m", "n_seeds": "5"}])
    assert CaptionTables(tmp_path).seeds() == 5


def test_an_alarm_may_have_many_ids(tmp_path: Path) -> None:
    # 20,000 ids of 12 digits are more than csv takes for a field by itself.
    ids = " ".join(["0123456789ab"] * 20_000)
    write(tmp_path, "alarms", [{"judge": "j", "ids": ids}])
    assert CaptionTables(tmp_path).rows("alarms") == [{"judge": "j", "ids": ids}]


def test_how_values_are_written() -> None:
    assert CaptionTables.number(None) == "undefined"
    assert CaptionTables.number(0.12345) == "0.123"
    assert CaptionTables.percent(None) == "undefined"
    assert CaptionTables.percent(0.12345) == "12.3%"
    assert CaptionTables.p_value(None) == "p undefined"
    assert CaptionTables.p_value(0.00099) == "p < 0.001"
    assert CaptionTables.p_value(0.0123) == "p = 0.012"
    assert CaptionTables.model({"model": "all"}) == "all models"
    assert CaptionTables.model({"model": "007"}) == "007"
    assert CaptionTables.significant([{"p_holm": p} for p in (None, 0.049, 0.05)]) == 1
