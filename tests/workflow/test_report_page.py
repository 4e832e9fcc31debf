"""The page of a finished run: what it holds, what it must not hold, and that it opens."""

import base64
import gzip
import json
import re
import shutil

import polars as pl
from playwright.sync_api import expect

from helpers.browser import browser, open_view, opened
from helpers.workspace import Workspace
from refusal_stability.core.text import decimals
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses
from refusal_stability.schemas.tables import TABLES

PAGE = "results/reduced/stability_report.html"
VIEWS = ("Explore", "Prompts", "Reading this", "Answer")


def written(workspace: Workspace, **settings: str) -> str:
    """Write the page anew, with other settings."""
    workspace.write_config(workspace.read_config() | {"report": settings})
    result = workspace.snakemake("--cores", "1", "--", PAGE)
    assert result.returncode == 0, result.stderr
    return (workspace.folder / PAGE).read_text(encoding="utf-8")


def texts(workspace: Workspace) -> set[str]:
    """Every prompt and reply of the run."""
    prompts = storage.read_parquet(workspace.run / "prompts.parquet", Prompts)["prompt"]
    replies = [
        storage.read_parquet(path, Responses)["response"]
        for path in sorted((workspace.run / "responses").rglob("*.parquet"))
    ]
    found = set(pl.concat([prompts, *replies]))
    assert len(found) > 24
    return found


def everything(html: str) -> str:
    """The page, with all that is packed in it unpacked."""
    packed = re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", html)
    opened_up = [html]
    for one in packed:
        if one.startswith("H4sI"):
            opened_up.append(gzip.decompress(base64.b64decode(one)).decode("utf-8", "replace"))
    # The labels, at least.
    assert len(opened_up) > 1
    return "\n".join(opened_up)


def test_the_page_of_a_run_holds_no_prompt_and_no_reply(finished: Workspace) -> None:
    html = everything((finished.folder / PAGE).read_text(encoding="utf-8"))
    for text in texts(finished):
        # Nor parts of them: no five words in a row.
        words = text.split()
        parts = {" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))}
        for part in {text, json.dumps(text)[1:-1]} | parts:
            assert part not in html


def test_the_page_of_a_run_opens_and_has_its_numbers(finished: Workspace) -> None:
    models = storage.read_csv(finished.run / "tables/models.csv", TABLES["models"])
    with browser() as chrome, opened(chrome, finished.folder / PAGE) as page:
        for view in VIEWS:
            open_view(page, view)
            expect(page.locator("main > section:visible")).to_have_count(1)
        for row in models.filter(pl.col("model") != "all").rows(named=True):
            ssi, low, high = (decimals(row[f"mean_ssi{end}"]) for end in ("", "_low", "_high"))
            expect(page.locator("#answer table")).to_contain_text(f"{ssi} [{low}, {high}]")


def test_text_that_is_asked_for_is_behind_a_click(finished_copy: Workspace) -> None:
    html = written(finished_copy, text="include")
    # Packed, so that no search of files finds it by accident.
    found = everything(html)
    for text in texts(finished_copy):
        assert json.dumps(text)[1:-1] in found
        assert text not in html
    prompts = storage.read_parquet(finished_copy.run / "prompts.parquet", Prompts)
    prompt_id, prompt = prompts.row(0)[:2]
    with (
        browser() as chrome,
        opened(chrome, finished_copy.folder / PAGE, f"prompts/{prompt_id}") as page,
    ):
        expect(page.locator("#detail-consent")).to_be_visible()
        expect(page.locator("#detail-text")).to_be_hidden()
        page.get_by_role("button", name="Show the text").click()
        expect(page.locator("#detail-text")).to_have_text(prompt)
        assert page.locator("#detail-picked .reply").first.inner_text() in texts(finished_copy)


def test_two_runs_stand_side_by_side(finished_copy: Workspace) -> None:
    shutil.copytree(finished_copy.run, finished_copy.run.with_name("before"))
    written(finished_copy, compare_with="before")
    with browser() as chrome, opened(chrome, finished_copy.folder / PAGE, "compare") as page:
        expect(page.locator("#compare h2")).to_have_text("reduced and before")
        # Two judges on two models in each run.
        expect(page.locator("#compare-headline tbody tr")).to_have_count(8)
        # The labels are the same: 12 prompts of each of two models.
        expect(page.locator("#compare-words")).to_contain_text("Of 24 prompts")
        expect(page.locator("#compare-words")).to_contain_text("and 24 the same")
        expect(page.locator("#compare-chart svg.marks")).to_be_visible()
        differences = page.locator("#compare-differences tbody tr td:nth-child(6)")
        assert set(differences.all_inner_texts()) == {"0.000 [0.000, 0.000]"}


def test_another_run_that_is_not_there_is_one_line(finished_copy: Workspace) -> None:
    finished_copy.write_config(finished_copy.read_config() | {"report": {"compare_with": "no"}})
    result = finished_copy.snakemake("--dry-run")
    assert result.returncode != 0
    assert "report.compare_with: there is no results/no/tables/models.csv. Hint:" in result.stderr
