"""The page of runs that are large, or called oddly, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, expect

from helpers.browser import browser, opened
from helpers.label_grids import parts, verdicts, verdicts_of_codes
from helpers.report_pages import codes, run_of, write_page
from refusal_stability.report.run_comparison import page_compare


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.mark.parametrize("width", [360, 1000, 1030, 1280])
def test_a_row_shows_what_each_of_many_models_did(
    chrome: Browser, tmp_path: Path, width: int
) -> None:
    # A prompt with all three labels has the widest mark.
    labels = {("j", f"m{number:02}"): ["RPC", "RRR"] for number in range(23)}
    file = write_page(tmp_path / "page.html", run_of(verdicts(labels)))
    with opened(chrome, file, "prompts", viewport={"width": width, "height": 800}) as page:
        row = page.locator("#prompts-list .row").first
        expect(row.locator(".s")).to_have_count(23)
        assert row.evaluate(
            """row => {
              const edge = row.getBoundingClientRect();
              return [...row.querySelectorAll("*")].every((one) => {
                const of = one.getBoundingClientRect();
                return of.bottom <= edge.bottom && of.right <= edge.right;
              });
            }"""
        )
        assert row.locator(".s").evaluate_all(
            "marks => marks.every((one) => one.scrollWidth <= one.clientWidth)"
        )
        # The next one stands below it.
        first, second = (page.locator("#prompts-list .row").nth(at).bounding_box() for at in (0, 1))
        assert second["y"] >= first["y"] + first["height"] - 1


def test_of_many_categories_the_largest_are_drawn(chrome: Browser, tmp_path: Path) -> None:
    # 70 prompts: categories c00 to c29 have two each, c30 to c39 one.
    table = verdicts_of_codes(codes(1, 2, 70, 2, 2))
    run = run_of(table)
    names = [f"c{number:02}" for number in [*range(40), *range(30)]]
    file = write_page(
        tmp_path / "page.html",
        run_of(table, of_prompts=run.prompts.with_columns(category=pl.Series(names))),
    )
    with opened(chrome, file, "explore") as page:
        panel = page.locator("#explore-category")
        expect(panel.locator(".some")).to_have_text(
            "Drawn: the 30 of 40 with the most prompts. The table has all."
        )
        expect(panel.locator("svg path[aria-label*='model: m1']")).to_have_count(30)
        expect(panel.locator("svg path[aria-label*='group: c30']")).to_have_count(0)
        panel.locator("summary").click()
        expect(panel.locator("tbody tr")).to_have_count(80)
        expect(page.locator("#explore-source .some")).to_be_hidden()


def test_runs_may_be_called_as_columns_are(chrome: Browser, tmp_path: Path) -> None:
    table = verdicts_of_codes(codes(1, 1, 10, 2, 2))
    judged = {(judge, model): of for judge, model, of in parts(table)[1]}
    run = run_of(table, name="model")
    other = page_compare("model", "n", judged, judged, run.tables["models"], run.prompts, (200, 1))
    file = write_page(tmp_path / "page.html", run_of(table, name="model", other=other))
    with opened(chrome, file, "compare") as page:
        heads = page.locator("#compare-differences th").all_inner_texts()
        assert heads == ["model", "measure", "n", "model", "n", "difference", "p holm"]
        cells = page.locator("#compare-differences tbody tr").first.locator("td")
        expect(cells.nth(0)).to_have_text("m0")
        expect(cells.nth(2)).to_have_text("10")
        assert float(cells.nth(3).inner_text()) == float(cells.nth(4).inner_text()) < 1
        first = page.locator("#compare-prompts tbody tr").first.locator("td")
        expect(first.nth(0)).to_have_text("m0")
