"""The page of a run in Chromium: its size, how soon it is seen, and how fast it filters.

    .venv/bin/python tests/benchmarks/report_page.py [--prompts 876] [--models 4] [--repeats 5]

Writes pages of made-up labels of 2 judges at 4 temperatures, x 5 and x 20 seeds, without and with
made-up replies, and opens each in headless Chromium. Filtering is from the change of a control to
the second frame after it, for every value of every control; the worst and the median are printed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser

from helpers.browser import browser, opened
from helpers.label_grids import SETTINGS, verdicts_of_codes
from helpers.report_pages import codes, run_of, write_page
from refusal_stability.report.embedded_data import page_text
from refusal_stability.report.page import Run

JUDGES, TEMPERATURES, SEEDS = 2, 4, (5, 20)
# Of a reply of 512 tokens, about.
WORDS = 350
# The goals of the page.
PAINT_MS, FILTER_MS, MEGABYTES = 2000, 100, 30

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
FILTER = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const took = [];
  const change = async (control, value, event) => {
    await frame();
    const start = performance.now();
    control.value = value;
    control.dispatchEvent(new Event(event));
    await frame();
    await frame();
    took.push(performance.now() - start);
  };
  for (const control of document.querySelectorAll("#prompts select")) {
    const first = control.value;
    for (const { value } of [...control.options]) await change(control, value, "change");
    await change(control, first, "change");
  }
  const search = document.getElementById("prompts-search");
  for (const text of ["1", "12", "123", ""]) await change(search, text, "input");
  return took;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=876)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print("cells  text    MB  written s  first paint ms  list ms  filter ms: worst  median")
    with tempfile.TemporaryDirectory() as folder, browser() as chrome:
        for seeds in SEEDS:
            run = study(args.prompts, args.models, seeds)
            for text in (None, made_up_text(run)):
                measure(chrome, Path(folder) / "page.html", replace(run, text=text), args.repeats)


def study(prompts: int, models: int, seeds: int) -> Run:
    labels = codes(JUDGES, models, prompts, TEMPERATURES, seeds)
    return run_of(verdicts_of_codes(labels), SETTINGS)


def made_up_text(run: Run) -> list[str]:
    """Return packed replies, each distinct, of words as frequent as those of a language."""
    rng = np.random.default_rng(0)
    vocabulary = np.array(
        ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(20_000)]
    )
    of = run.labels

    def replies() -> Iterator[tuple[str, pl.DataFrame]]:
        n = len(of.prompt_ids)
        for model in of.models:
            for temperature in of.temperatures:
                for seed in of.seeds:
                    places = np.minimum(rng.zipf(1.2, (n, WORDS)) - 1, len(vocabulary) - 1)
                    texts = [" ".join(vocabulary[row]) for row in places]
                    columns = {"prompt_id": of.prompt_ids, "response": texts}
                    yield (
                        model,
                        pl.DataFrame(columns).with_columns(
                            temperature=pl.lit(temperature),
                            seed=pl.lit(seed),
                            finish_reason=pl.lit("stop"),
                        ),
                    )

    prompts = run.prompts.with_columns(prompt=pl.lit("A made-up prompt."))
    axes = of.models, of.temperatures, of.seeds
    return page_text(prompts, replies(), *axes, order=of.prompt_ids)


def measure(chrome: Browser, file: Path, run: Run, repeats: int) -> None:
    start = time.perf_counter()
    write_page(file, run)
    written = time.perf_counter() - start
    megabytes = file.stat().st_size / 1e6
    paints, lists = [], []
    for _ in range(repeats):
        with opened(chrome, file) as page:
            page.wait_for_selector("#picture svg")
            paints.append(page.evaluate(PAINT))
        with opened(chrome, file, "prompts") as page:
            page.wait_for_selector("#prompts-list .row")
            lists.append(page.evaluate("performance.now()"))
            took = page.evaluate(FILTER)
    cells = TEMPERATURES * len(run.labels.seeds)
    packed = sum(map(bool, run.text or []))
    words = "no" if run.text is None else f"{packed}"
    print(
        f"{cells:5}  {words:>4}  {megabytes:4.1f}  {written:9.1f}  {median(paints):14.0f}"
        f"  {median(lists):7.0f}  {max(took):16.0f}  {median(took):6.0f}"
    )
    for what, value, goal in (
        ("first paint", median(paints), PAINT_MS),
        ("filtering", max(took), FILTER_MS),
        ("size", megabytes, MEGABYTES),
    ):
        if value > goal:
            print(f"MISSED: {what} {value:.0f}, the goal is {goal}")


if __name__ == "__main__":
    main()
