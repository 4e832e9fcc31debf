"""The script that writes the page, on files as the workflow leaves them: a run from labels."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

import report_page
from helpers.label_grids import SETTINGS, parts, prompts_of, verdicts
from helpers.report_pages import RESOURCES, with_chances
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Stability, Verdicts
from refusal_stability.schemas.tables import REPLICATION, TABLES
from refusal_stability.statistics.tables import make_tables

MANIFEST = {
    "count": 16,
    "prompts": 2,
    "files": [{"path": "labels.csv", "sha256": "0" * 64, "rows": 16}],
    "models": {"m": ["m"], "n": ["n"]},
    "judges": {"j": ["j"]},
}


def write_run(folder: Path, table: pl.DataFrame) -> None:
    stability, of_pairs = parts(table)
    prompts = prompts_of(table)
    for judge, of_judge in stability:
        storage.write_parquet(of_judge, folder / f"stability/{judge}.parquet", Stability)
    for judge, model, of_pair in of_pairs:
        of_pair = with_chances(of_pair).with_columns(reason=pl.lit(None, dtype=pl.String))
        storage.write_parquet(of_pair, folder / f"verdicts/{judge}/{model}.parquet", Verdicts)
    for name, of_name in make_tables(stability, of_pairs, prompts, SETTINGS).items():
        storage.write_csv(of_name, folder / f"tables/{name}.csv", TABLES[name])
    storage.write_parquet(prompts, folder / "prompts.parquet", PromptInfo)
    storage.write_json(MANIFEST, folder / "labels.json")


def test_a_run_from_labels_has_a_page_beside_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write_run(here, verdicts({("j", "m"): ["RR RC", "RR RR"], ("j", "n"): ["CC CC", "RP PP"]}))
    # Another model, and other labels of the first prompt: SSI 1, not 3/4.
    published = {"id": "ssi", "where": "Table 1", "paper": 0.9, "recomputed": None}
    published |= {"definition": None, "difference": None, "verdict": "data not given"}
    compared = pl.DataFrame([published])
    more = here / "tables/replication.csv"
    storage.write_csv(REPLICATION.validate(compared, cast=True), more, REPLICATION)
    write_run(there, verdicts({("j", "m"): ["RR RR", "RR RR"], ("j", "x"): ["CC CC", "RP PP"]}))
    statistics = {"unstable_below": 0.8, "max_invalid_share": 0.01}
    statistics |= {"bootstrap_resamples": 200, "bootstrap_seed": 1, "thresholds": [0.8]}
    about = {"statistics": statistics, "shared_scope": [], "self_judging": [], "from_labels": True}
    arguments = {
        "run": ["here"],
        "about": [json.dumps(about)],
        "prompts": [here / "prompts.parquet"],
        "verdicts": sorted(here.glob("verdicts/*/*.parquet")),
        "stability": [here / "stability/j.parquet"],
        "tables": [here / "tables"],
        "more-tables": [more],
        "resources": [RESOURCES],
        "other-models": [there / "tables/models.csv"],
        "other-verdicts": [there / "verdicts/j/m.parquet"],
        "output": [tmp_path / "page.html"],
    }
    given = [str(part) for key, values in arguments.items() for part in (f"--{key}", *values)]
    monkeypatch.setattr(sys, "argv", ["report_page.py", *given])
    report_page.main()
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    assert data["tables"]["replication"]["rows"][0][:3] == ["ssi", "Table 1", 0.9]
    other = data["other"]
    assert other["run"] == "there"
    rows = [
        dict(zip(other["prompts"]["columns"], row, strict=True)) for row in other["prompts"]["rows"]
    ]
    assert {(row["model_a"], row["prompt_id"], row["ssi_a"], row["ssi_b"]) for row in rows} == {
        ("m", "p000", 0.75, 1.0),
        ("m", "p001", 1.0, 1.0),
    }
    measures = [row for row in other["differences"]["rows"] if "mean_ssi" in row]
    assert len(measures) == 1
    assert "How this run was made" in html
