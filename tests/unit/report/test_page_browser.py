"""The page of a made-up run, clicked through in a real browser."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from helpers.browser import browser, open_view, opened
from helpers.label_grids import verdicts_of_codes
from helpers.report_pages import codes, run_of, small_run, write_page
from refusal_stability.core.text import decimals
from refusal_stability.report.embedded_data import page_text
from refusal_stability.schemas.tables import TABLES

RUN = small_run()
HOSTILE = "Ünïcode \U0001f642 <script>document.title = 'taken'</script> </script> <!-- <b>bold</b>"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page") / "page.html", RUN)


def count(page: Page) -> int:
    shown = page.locator("#prompts-count")
    expect(shown).not_to_be_empty()
    return int(shown.inner_text().split()[0])


def pooled(judge_model: tuple[str, str] = ("j0", "m0")) -> pl.DataFrame:
    _, model = judge_model
    return RUN.stability.filter(scoring="three_way", scope="pooled", model=model)


def test_every_view_opens_without_a_word_on_the_console(chrome: Browser, file: Path) -> None:
    with opened(chrome, file) as page:
        expect(page.locator("h1")).to_contain_text("changes its decision on")
        expect(page.locator("#picture svg")).to_be_visible()
        for view in ("Explore", "Prompts", "Reading this", "Answer"):
            open_view(page, view)
            expect(page.locator("main > section:visible")).to_have_count(1)
        open_view(page, "Explore")
        expect(page.locator("#explore-grid svg.marks")).to_have_count(
            page.locator("#explore-grid .panel").count()
        )


def test_the_first_screen_has_the_tables_numbers(chrome: Browser, file: Path) -> None:
    with opened(chrome, file) as page:
        for row in RUN.tables["models"].filter(pl.col("model") != "all").rows(named=True):
            ssi, low, high = (decimals(row[f"mean_ssi{end}"]) for end in ("", "_low", "_high"))
            shown = f"{ssi} [{low}, {high}]"
            line = page.locator("#answer tbody tr", has_text=row["judge"]).filter(
                has_text=row["model"]
            )
            expect(line).to_contain_text(shown)


def test_the_list_agrees_with_the_stability(chrome: Browser, file: Path) -> None:
    with opened(chrome, file, "prompts") as page:
        page.locator("#prompts-model").select_option("m0")
        first = pooled().sort("ssi", maintain_order=True).row(0, named=True)
        row = page.locator("#prompts-list .row").first
        expect(row.locator(".ssi")).to_have_text(f"{first['ssi']:.2f}")
        n = [first[f"n_{label}"] for label in ("refuse", "partial", "comply")]
        expect(row.locator(".counts")).to_have_text(f"R {n[0]}P {n[1]}C {n[2]}")
        for kind, expected in {
            "flip": pooled().filter("flip"),
            "hard": pooled().filter("hard_flip"),
            "soft": pooled().filter(pl.col("flip") & ~pl.col("hard_flip")),
            "stable": pooled().filter(~pl.col("flip")),
        }.items():
            page.locator("#prompts-kind").select_option(kind)
            assert count(page) == expected.height > 0, kind


def test_prompts_are_filtered_by_category_id_and_place_of_the_flip(
    chrome: Browser, file: Path
) -> None:
    with opened(chrome, file, "prompts") as page:
        page.locator("#prompts-category").select_option("x")
        assert count(page) == (RUN.prompts["category"] == "x").sum()
        page.locator("#prompts-category").select_option("any")
        page.locator("#prompts-search").fill("P007")
        assert count(page) == 1
        page.locator("#prompts-search").fill("nowhere")
        expect(page.locator("#prompts-empty")).to_be_visible()
        page.locator("#prompts-search").fill("")
        page.locator("#prompts-model").select_option("m1")
        of_model = RUN.stability.filter(scoring="three_way", model="m1")
        page.locator("#prompts-where").select_option("within T 2")
        assert count(page) == of_model.filter(pl.col("flip"), scope="2").height > 0
        page.locator("#prompts-where").select_option("only between temperatures")
        within = of_model.filter(pl.col("scope") != "pooled", pl.col("flip"))["prompt_id"]
        between = of_model.filter(
            pl.col("flip"), ~pl.col("prompt_id").is_in(within.implode()), scope="pooled"
        )
        assert count(page) == between.height


def test_a_prompt_opens_and_closes_by_keys_alone(chrome: Browser, file: Path) -> None:
    with opened(chrome, file) as page:
        # To the list of prompts and into it, without a mouse.
        open_view(page, "Prompts", how=lambda link: link.press("Enter"))
        page.locator("#prompts-search").focus()
        page.keyboard.press("Tab")
        expect(page.locator("#prompts-list")).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#detail")).to_be_visible()
        opened_id = page.locator("#prompts-list .row").nth(1).locator(".id").inner_text()
        expect(page.locator("#detail-title")).to_have_text(opened_id)
        assert page.evaluate("location.hash") == f"#prompts/{opened_id}"
        # Arrows move in the grid of cells, space picks one.
        cells = page.locator("#detail .cells").first.locator("button")
        cells.first.focus()
        page.keyboard.press("ArrowRight")
        expect(cells.nth(1)).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(cells.nth(4)).to_be_focused()
        before = cells.nth(4).get_attribute("aria-pressed")
        page.keyboard.press("Space")
        assert cells.nth(4).get_attribute("aria-pressed") != before
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()
        expect(page.locator("#prompts-list")).to_be_focused()


def test_an_opened_prompt_shows_every_label_and_where_judges_differ(
    chrome: Browser, file: Path
) -> None:
    with opened(chrome, file, "prompts/p003") as page:
        expect(page.locator("#detail-title")).to_have_text("p003")
        labels = RUN.labels.labels
        for model in range(2):
            cells = page.locator("#detail .cells").nth(model).locator("button")
            letters = "".join("RPC"[code] for code in labels[0, model, 3].ravel())
            assert "".join(cells.all_inner_texts()) == letters
            differs = (labels[0, model, 3] != labels[1, model, 3]).sum()
            assert page.locator("#detail .cells").nth(model).locator(".differs").count() == differs


def test_a_table_is_sorted_and_downloaded(chrome: Browser, file: Path, tmp_path: Path) -> None:
    with opened(chrome, file, "explore", accept_downloads=True) as page:
        panel = page.locator("#explore-models")
        expect(panel.locator("summary")).to_have_text("The numbers by model")
        panel.locator("summary").click()
        values = RUN.tables["models"].filter(pl.col("model") != "all", judge="j0")["mean_ssi"]
        head = panel.get_by_role("button", name="mean ssi", exact=True)
        for descending in (False, True):
            head.click()
            order = "descending" if descending else "ascending"
            expect(panel.locator(f"th[aria-sort={order}]")).to_have_count(1)
            shown = panel.locator("tbody tr td:nth-child(4)").all_inner_texts()
            assert shown == [decimals(value) for value in sorted(values, reverse=descending)]
        with page.expect_download() as download:
            panel.get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "table.csv")
        with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        # All columns, to the last digit, in the order that is seen.
        assert list(rows[0]) == RUN.tables["models"].columns
        assert [float(row["mean_ssi"]) for row in rows] == sorted(values, reverse=True)


def test_a_chosen_model_stands_out_everywhere(chrome: Browser, file: Path) -> None:
    with opened(chrome, file, "explore") as page:
        for panel in ("models", "temperature", "scoring"):
            page.locator(f"#explore-{panel} summary").click()
        # By a click on its mark in one chart.
        mark = page.locator("#explore-models svg path[aria-label*='model: m1']").last
        expect(mark).to_be_visible()
        mark.click()
        expect(page.get_by_role("button", name="m1")).to_have_attribute("aria-pressed", "true")
        faded = page.locator("#explore-temperature svg path[aria-label*='model: m0']").last
        expect(faded).to_have_attribute("opacity", re.compile(r"^0\.2$"))
        for panel in ("models", "temperature", "scoring"):
            body = page.locator(f"#explore-{panel} tbody")
            assert "m0" not in body.inner_text()
            assert "m1" in body.inner_text()
        page.get_by_role("button", name="m1").click()
        expect(faded).to_have_attribute("opacity", "1")
        expect(page.locator("#explore-scoring svg")).to_contain_text("three-way")
        page.locator("#explore-measure").select_option("refusal_rate")
        expect(page.locator("#explore-models h3")).to_have_text("Refusal rate by model")


def test_an_address_that_was_cut_opens_the_list(chrome: Browser, file: Path) -> None:
    with opened(chrome, file, "prompts/p003%") as page:
        expect(page.locator("#prompts-list .row").first).to_be_visible()
        expect(page.locator("#detail")).to_be_hidden()


def test_charts_stand_whatever_a_category_holds(chrome: Browser, tmp_path: Path) -> None:
    # A line separator, which no program may hold, and groups of one prompt: without intervals.
    prompts = RUN.prompts.with_columns(category="</script>\u2028'\"" + pl.col("prompt_id"))
    table = verdicts_of_codes(codes(1, 2, 30, 3, 3))
    file = write_page(tmp_path / "page.html", run_of(table, of_prompts=prompts))
    with opened(chrome, file, "explore") as page:
        expect(page.locator("#explore-category svg.marks")).to_be_visible()
        expect(page.locator("#explore-category svg path[aria-label*='model: m1']")).to_have_count(
            30
        )


def test_an_empty_table_is_a_file_with_heads(chrome: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", run_of(verdicts_of_codes(codes(1, 1, 5, 2, 2))))
    with opened(chrome, file, "explore", accept_downloads=True) as page:
        page.locator("#any-name").select_option("consensus")
        with page.expect_download() as download:
            page.locator("#any-table").get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "table.csv")
    heads = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert heads == ",".join(TABLES["consensus"].column_names()) + "\n"


@pytest.mark.parametrize("width", [360, 800, 980, 1280])
def test_a_row_shows_all_its_labels(chrome: Browser, tmp_path: Path, width: int) -> None:
    # 72 labels of a prompt, each fourth invalid.
    labels = codes(1, 3, 5, 4, 6)
    labels[..., ::4] = 4
    file = write_page(tmp_path / "page.html", run_of(verdicts_of_codes(labels)))
    with opened(chrome, file, "prompts", viewport={"width": width, "height": 800}) as page:
        row = page.locator("#prompts-list .row").first
        expect(row.locator(".linvalid")).to_have_text("? 24")
        assert "24 invalid" in row.get_attribute("aria-label")
        assert row.evaluate("row => row.scrollWidth <= row.clientWidth")
        assert row.locator(".counts").evaluate("one => one.scrollWidth <= one.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_and_bars_have_edges(chrome: Browser, file: Path, scheme: str) -> None:
    with opened(chrome, file, "explore", color_scheme=scheme) as page:
        edge, ground = (
            page.evaluate(
                "([selector, name]) => { const paint = document.createElement('canvas')"
                ".getContext('2d'); paint.fillStyle = getComputedStyle(document.querySelector("
                "selector))[name]; paint.fillRect(0, 0, 1, 1);"
                "return [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)]; }",
                of,
            )
            for of in (["#explore-measure", "borderTopColor"], ["body", "backgroundColor"])
        )
        # What is no text: 3 to 1.
        assert contrast(edge, ground) >= 3
        open_view(page, "Answer")
        soft = page.locator("#picture svg path[fill-opacity='0.45']").first
        assert soft.get_attribute("stroke") == "#CC6677"
        assert contrast([0xCC, 0x66, 0x77], ground) >= 3


def contrast(one: list[int], other: list[int]) -> float:
    lighter, darker = sorted([luminance(one), luminance(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[int]) -> float:
    """Relative luminance by WCAG 2.2 of red, green and blue."""
    parts = [part / 255 for part in colour]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


# Red, green and blue of each element's text and of the first ground behind it that is not clear.
COLOURS = """elements => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const of = (element) => getComputedStyle(element).backgroundColor;
  // The list may have made its rows anew meanwhile.
  return elements.filter((element) => element.isConnected).map((element) => {
    let ground = element;
    while (ground.parentElement && of(ground) === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
    return [rgb(getComputedStyle(element).color), rgb(of(ground))];
  });
}"""


def text_and_ground(page: Page, selector: str) -> set[tuple[tuple[int], tuple[int]]]:
    pairs = page.locator(f"{selector}:visible").evaluate_all(COLOURS)
    return {(tuple(text), tuple(ground)) for text, ground in pairs}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(chrome: Browser, file: Path, scheme: str) -> None:
    with opened(chrome, file, color_scheme=scheme) as page:
        seen = {}
        for view in ("Explore", "Reading this", "Answer", "Prompts"):
            open_view(page, view)
            texts = (
                ":is(p, h1, h2, h3, dd, dt, td, th, a, label, button, select, .l, .s, .kind, .id)"
            )
            seen |= dict.fromkeys(text_and_ground(page, texts), view)
        page.locator("#prompts-list .row").first.click()
        expect(page.locator("#detail")).to_be_visible()
        inside = "#detail :is(p, h2, h3, h4, li, .cell, .l)"
        seen |= dict.fromkeys(text_and_ground(page, inside), "detail")
        assert len(seen) > 8
        for (text, ground), view in seen.items():
            assert contrast(text, ground) >= 4.5, (view, text, ground)
        if scheme == "dark":
            ((_, ground),) = text_and_ground(page, "body")
            assert luminance(ground) < 0.05


def test_charts_follow_a_change_to_dark(chrome: Browser, file: Path) -> None:
    with opened(chrome, file) as page:
        text = page.locator("#picture svg text").first
        light = text.get_attribute("fill")
        page.emulate_media(color_scheme="dark")
        expect(text).not_to_have_attribute("fill", light)
        assert page.locator("#picture").get_attribute("aria-label").startswith("Share of prompts")


def test_nothing_is_wider_than_a_phone(chrome: Browser, file: Path) -> None:
    with opened(chrome, file, viewport={"width": 360, "height": 740}) as page:
        for view in ("Answer", "Explore", "Prompts", "Reading this"):
            open_view(page, view)
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        open_view(page, "Prompts")
        page.locator("#prompts-list .row").first.click()
        expect(page.locator("#detail")).to_be_visible()
        assert page.locator("#detail .inside").evaluate("one => one.scrollWidth") <= 360


def test_the_list_holds_only_the_rows_in_sight(chrome: Browser, tmp_path: Path) -> None:
    rows = verdicts_of_codes(np.zeros((1, 1, 900, 1, 1), dtype=int))
    with opened(chrome, write_page(tmp_path / "page.html", run_of(rows)), "prompts") as page:
        assert count(page) == 900
        assert page.locator("#prompts-list .row").count() < 60
        page.locator("#prompts-list").focus()
        page.keyboard.press("End")
        expect(page.locator("#prompts-list .row[aria-selected=true]")).to_contain_text("p899")


def text_run() -> tuple[list[str], pl.DataFrame]:
    """Packed text of the small run's first prompts: hostile ones."""
    of = RUN.labels
    prompts = RUN.prompts.with_columns(prompt=pl.lit(f"Why? {HOSTILE}"))
    replies = pl.DataFrame(
        [
            (prompt, temperature, seed, f"{HOSTILE} once {seed} more", "length")
            for prompt in of.prompt_ids
            for temperature in of.temperatures
            for seed in of.seeds
        ],
        schema=["prompt_id", "temperature", "seed", "response", "finish_reason"],
        orient="row",
    )
    packed = page_text(
        prompts, [("m0", replies)], of.models, of.temperatures, of.seeds, of.prompt_ids[:10]
    )
    return packed, replies


def test_text_is_shown_after_a_click_and_never_run(chrome: Browser, tmp_path: Path) -> None:
    packed, _ = text_run()
    file = write_page(tmp_path / "page.html", small_run(text=packed))
    with opened(chrome, file, "prompts/p003") as page:
        expect(page.locator("#detail-consent")).to_be_visible()
        assert "Ünïcode" not in page.locator("body").inner_text()
        page.get_by_role("button", name="Show the text").click()
        expect(page.locator("#detail-text")).to_have_text(f"Why? {HOSTILE}")
        cells = page.locator("#detail .cells").first.locator("button")
        pressed = page.locator("#detail .cell[aria-pressed=true]")
        while pressed.count():
            pressed.first.click()
        cells.nth(0).click()
        cells.nth(1).click()
        replies = page.locator("#detail-picked .reply")
        expect(replies).to_have_count(2)
        expect(replies.nth(0)).to_have_text(f"{HOSTILE} once 1 more")
        expect(replies.nth(1)).to_have_text(f"{HOSTILE} once 2 more")
        # The one word in which they differ.
        assert page.locator("#detail-picked mark").all_inner_texts() == ["1", "2"]
        expect(page.locator("#detail-picked .picked").first).to_contain_text("Cut off")
        assert page.locator("#detail b").count() == 0
        assert page.title() == "made-up: how stable are the refusals?"
        # Another prompt asks no second time; one whose text did not fit says so.
        page.get_by_role("button", name="Close").click()
        page.locator("#prompts-search").fill("p020")
        page.locator("#prompts-list .row").click()
        expect(page.locator("#detail-missing")).to_be_visible()
