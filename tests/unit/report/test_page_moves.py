"""What the page of a run does when it is clicked: from a warning to its prompts, and panels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from helpers.browser import browser, open_view, opened
from helpers.label_grids import verdicts
from helpers.report_pages import run_of, small_run, write_page
from refusal_stability.core.text import decimals


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


def test_a_warning_opens_its_prompts_under_its_judge_and_model(
    chrome: Browser, tmp_path: Path
) -> None:
    # An SSI of 1/3 for judge i on p000 of m, and for j on p001 of n; in the mean over both models
    # it is 2/3, which the warning does not say.
    labels = {
        ("i", "m"): ["RPC", "RRR"],
        ("i", "n"): ["RRR", "RRR"],
        ("j", "m"): ["RRR", "RRR"],
        ("j", "n"): ["RRR", "RPC"],
    }
    file = write_page(tmp_path / "page.html", run_of(verdicts(labels)))
    with opened(chrome, file, "prompts") as page:
        # What was asked for before hides nothing of a warning.
        page.locator("#prompts-search").fill("nowhere")
        page.locator("#prompts-kind").select_option("stable")
        for whose, judge, model, prompt in (("n, j", "1", "1", "p001"), ("m, i", "0", "0", "p000")):
            open_view(page, "Answer")
            page.get_by_role("button", name=f"Show 1 prompt of {whose}", exact=True).click()
            expect(page.locator("#prompts-judge")).to_have_value(judge)
            expect(page.locator("#prompts-model")).to_have_value(model)
            row = page.locator("#prompts-list .row")
            expect(row).to_have_count(1)
            expect(row.locator(".id")).to_have_text(prompt)
            expect(row.locator(".ssi")).to_have_text("0.33")
            expect(page.locator("#prompts-warning")).to_contain_text(f"of No majority ({whose})")


def test_marks_of_models_have_their_names_above(chrome: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", small_run())
    with opened(chrome, file, "prompts") as page:
        head = page.locator("#prompts-strip-head")
        expect(head).to_have_text("By model: m0, m1")
        page.locator("#prompts-model").select_option("m1")
        expect(head).to_have_text("By temperature: 0, 1, 2")


def test_opening_the_numbers_moves_no_panel_aside(chrome: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", small_run())
    with opened(chrome, file, "explore") as page:
        panels = page.locator("#explore-grid .panel")
        expect(panels.locator("svg.marks")).to_have_count(panels.count())

        def sides() -> list[float]:
            return [panels.nth(at).bounding_box()["x"] for at in range(panels.count())]

        before = sides()
        assert len(set(before)) == 2
        for summary in page.locator("#explore-grid summary").all():
            summary.click()
            assert sides() == before


def test_a_browser_rounds_as_we_do(chrome: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", small_run())
    # Means of 1,200 and of 1,600 replies: some lie in the middle of two numbers.
    values = [k / n for n in (1200, 1600) for k in range(-n, n + 1)]
    with opened(chrome, file) as page:
        told = page.evaluate("values => values.map((value) => value.toFixed(3))", values)
    assert told == [decimals(value) for value in values]
