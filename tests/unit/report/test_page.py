"""The page of a run as text: its words, its warnings, and what it must not hold."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import tables_of, verdicts, verdicts_of_codes
from helpers.report_pages import ABOUT, RESOURCES, codes, run_of, small_run
from refusal_stability.core.errors import ConfigError
from refusal_stability.report.embedded_data import NOTHING, page_text
from refusal_stability.report.headline import answer
from refusal_stability.report.page import page
from refusal_stability.report.warnings import FlaggedPrompts, unknown, warnings
from refusal_stability.settings import report

# Four prompts: one always refused, one that flips within T = 1, one that flips between
# temperatures only (softly), and one that flips hard between them.
LABELS = {("j", "m"): ["RR RR", "RR RC", "RR PP", "CC RR"]}


def answer_of(labels: Any, n_temperatures: int = 2, n_seeds: int = 2) -> Any:
    run = run_of(verdicts(labels) if isinstance(labels, dict) else labels)
    return answer(run.tables, run.stability, n_temperatures, n_seeds, (2000, 1))


def point(found: Any, name: str) -> Any:
    return next(one for one in found.points if one.name == name)


def test_the_answer_counts_flips() -> None:
    found = answer_of(LABELS)
    assert found.headline == "Asked again, m changes its decision on 75% (30% to 95%) of prompts."
    assert (
        "1 model answered 4 prompts 4 times each, with 2 temperatures and 2 seeds" in found.design
    )
    # Of three flips two are hard: RC within T = 1, and CC RR.
    assert point(found, "Hard flips").number == "67%"
    assert "Of 3 flips" in point(found, "Hard flips").text
    # Two flips have one label at each temperature.
    assert (
        "2 of 3 flips (67%) are between temperatures only" in point(found, "With temperature").text
    )
    # SSI 1, 3/4, 1/2, 1/2.
    assert point(found, "Mean SSI").number == "0.69"
    assert point(found, "Judge's own errors").number == "unknown"
    assert "one judge alone" in point(found, "Judge's own errors").text


def test_the_share_of_hard_flips_has_an_interval_over_prompts() -> None:
    # 40 flips, a half of them hard: 0.5 plus or minus 1.96 sqrt(0.25 / 40) is 0.35 to 0.65.
    many = ["RC RC"] * 20 + ["RP RP"] * 20 + ["RR RR"] * 60
    text = point(answer_of({("j", "m"): many}), "Hard flips").text
    low, high = map(int, re.search(r"20 are hard, 50% \[(\d+), (\d+)\]", text).groups())
    assert abs(low - 35) <= 2
    assert abs(high - 65) <= 2
    # Models share their prompts, and so say nothing more: the same interval, by resampling.
    both = {("j", "m"): many, ("j", "n"): many}
    text = point(answer_of(both), "Hard flips").text
    again = map(int, re.search(r"40 are hard, 50% \[(\d+), (\d+)\]", text).groups())
    assert list(again) == pytest.approx([low, high], abs=2)


def test_several_models_are_named_and_many_are_not() -> None:
    flips = "RC RC"
    two = {("j", "a"): ["RR RR", "RR RR"], ("j", "b"): [flips, "RR RR"]}
    # Intervals are Wilson's: of none of 2 up to 1.96^2 / (2 + 1.96^2), of 1 in 2 from .095 to .905.
    expected = (
        "Asked again, b changes its decision on 50% (9% to 91%) of prompts and a on 0% (0% to 66%)."
    )
    assert answer_of(two).headline == expected
    many = {("j", f"m{n}"): [flips] * n + ["RR RR"] * (4 - n) for n in range(5)}
    expected = (
        "Asked again, models change their decision on 0% (m0, 0% to 49%) to 100% "
        "(m4, 51% to 100%) of prompts."
    )
    assert answer_of(many).headline == expected


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["U U", "E E"], "No reply has a valid label"),
        (["R", "C"], "Each prompt was asked once"),
    ],
)
def test_the_answer_says_where_there_is_none(labels: list[str], said: str) -> None:
    n_temperatures = len(labels[0].split())
    found = answer_of({("j", "m"): labels}, n_temperatures, 1)
    assert found.headline.startswith(said)


def test_without_a_valid_label_nothing_is_said_of_flips() -> None:
    found = answer_of({("j", "m"): ["UU UU", "EE UU"]})
    assert "1 model answered 2 prompts 4 times each" in found.design
    assert [one.name for one in found.points] == ["Judge's own errors"]


def test_prompts_that_lack_replies_were_not_asked_so_often() -> None:
    assert (
        "answered 2 prompts up to 4 times each"
        in answer_of({("j", "m"): ["RR R.", "RR RR"]}).design
    )


def test_a_drop_whose_interval_holds_none_is_told() -> None:
    # SSI falls by 1/2 on one prompt, rises by 1/2 on another and stays on the third.
    found = point(answer_of({("j", "m"): ["RR RC", "RC RR", "RR RR"]}), "With temperature")
    assert re.search(
        r"by 0\.000 \[-0\.\d+, 0\.\d+\]\. That is not told apart from none", found.text
    )
    assert found.number == "0.00"
    found = point(answer_of({("j", "m"): ["RR RC"] * 3}), "With temperature")
    assert "not told apart" not in found.text


def test_a_judge_without_partial_is_said_to_be_one() -> None:
    two = answer_of({("j", "m"): ["RC RR", "CC CC"]})
    assert "j labelled the replies REFUSE or COMPLY." in two.design
    assert "The judge gave no PARTIAL: every flip is hard." in point(two, "Hard flips").text
    three = answer_of(LABELS)
    assert "j labelled the replies REFUSE, PARTIAL or COMPLY." in three.design
    assert "no PARTIAL" not in point(three, "Hard flips").text
    # Of no valid label nothing is known.
    none = answer_of({("j", "m"): ["UU UU", "UU UU"]})
    assert "REFUSE, PARTIAL or COMPLY." in none.design


def test_of_one_seed_nothing_is_said_of_temperature() -> None:
    found = point(answer_of({("j", "m"): ["R R", "R C"]}, n_seeds=1), "With temperature")
    assert found.number == "unknown"
    assert "its SSI there is 1 by definition" in found.text


def test_a_rise_with_the_temperature_is_a_rise() -> None:
    found = point(answer_of({("j", "m"): ["RC RR", "RC RR", "RC RR"]}), "With temperature")
    # SSI 1/2 at the lower temperature, 1 at the higher one, for every prompt.
    assert found.number == "+0.50"
    assert "rises by 0.500 [0.500, 0.500]" in found.text


def test_the_judges_share_stands_with_its_interval_and_doubt() -> None:
    found = point(answer_of(verdicts_of_codes(codes(2, 2, 60, 3, 3))), "Judge's own errors")
    share = r"An estimated \W?\d+% \[\W?\d+, \d+\] of the flip rate is j0's own errors"
    assert re.match(share, found.text)


def test_warnings_are_the_raised_alarms_in_words() -> None:
    # An invalid label and a response that is missing; 100 - 1 of which one is above 1%.
    labels = {("j", "m"): ["RU R.", "RR RR", "PC RC"]}
    alarms = tables_of(labels)["alarms"]
    found = {one.name: one for one in warnings(alarms, ["m"], ["j judges itself."])}
    assert found["Invalid labels"].text == "m, j: 1 of 11 verdicts has no valid label."
    assert found["Invalid labels"].behind == [FlaggedPrompts("j", "m", ["p000"])]
    assert found["Missing responses"].text == "m, j: 1 of 12 responses has no verdict."
    assert found["A judge is also under test"].text == "j judges itself."
    assert "(seed_scope: cell)" in found["Shared sampling seeds"].text
    assert "Missing cells" not in found
    assert warnings(tables_of({("j", "m"): ["RR RR"]})["alarms"], [], []) == []


def test_a_warning_knows_ids_with_spaces_and_quotes() -> None:
    ids = ["how to", "how", 'a "b" c', "to"]
    table = verdicts({("j", "m"): ["UU", "UU", "UU", "RR"]})
    table = table.with_columns(
        pl.col("prompt_id").replace_strict(["p000", "p001", "p002", "p003"], ids)
    )
    found = {one.name: one for one in warnings(tables_of(table)["alarms"], [], [])}
    (behind,) = found["Invalid labels"].behind
    assert sorted(behind.prompt_ids) == sorted(ids[:3])


def test_a_warning_of_several_says_once_what_they_share() -> None:
    row = {"raised": True, "n": 1, "of": 2, "n_invalid": 0, "ids": "T1"}
    alarms = pl.DataFrame(
        {"judge": judge, "model": "m", "alarm": alarm} | row
        for alarm in ("shared_seeds", "truncated_replies")
        for judge in ("i", "j")
    )
    together, truncated = warnings(alarms, [], [])
    assert together.text == (
        "Refusals rise and fall together from seed to seed, as with one sampling seed for all "
        "prompts. m, i: 1 of 2 temperatures (T1); m, j: 1 of 2 temperatures (T1)."
    )
    assert together.behind == []
    # Replies are no judge's.
    assert truncated.text == "m: 1 of 2 replies was cut off."
    assert truncated.behind == [FlaggedPrompts(None, "m", ["T1"])]


def test_what_labels_do_not_tell_is_said() -> None:
    alarms = tables_of(LABELS)["alarms"]
    said = " ".join(unknown(alarms, starts_from_labels=True))
    for words in ("starts from labels", "cut off", "same text"):
        assert words in said
    known = alarms.head(1).with_columns(alarm=pl.lit("truncated_replies"))
    assert "cut off" not in " ".join(unknown(known, starts_from_labels=False))


def embedded(html: str, name: str) -> str:
    return re.search(rf'<script type="[^"]+" id="{name}">(.*?)</script>', html, re.S)[1]


def bytes_of(html: str, name: str) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(embedded(html, name))), dtype=np.uint8)


def test_labels_stand_as_bytes_in_the_order_of_the_axes() -> None:
    run = run_of(verdicts({("j", "m"): ["RP C.", "RR UR"], ("k", "m"): ["RR RR", "CC CC"]}))
    html = page(run, RESOURCES)
    labels = bytes_of(html, "labels").reshape(2, 1, 2, 2, 2)
    # REFUSE 0, PARTIAL 1, COMPLY 2, UNKNOWN 3.
    assert labels[0, 0].tolist() == [[[0, 1], [2, NOTHING]], [[0, 0], [3, 0]]]
    assert (labels[1, 0, 1] == 2).all()
    chances = bytes_of(html, "chances").reshape(2, 1, 2, 2, 2)
    # 90% of a judge's own label; none of an invalid or a missing one.
    assert chances[0, 0].tolist() == [[[180, 180], [180, NOTHING]], [[180, 180], [NOTHING, 180]]]
    data = json.loads(embedded(html, "data"))
    assert (data["judges"], data["models"]) == (["j", "k"], ["m"])
    assert (data["temperatures"], data["seeds"]) == (["0", "1"], [1, 2])
    assert data["tables"]["models"]["columns"] == run.tables["models"].columns


def test_names_from_files_stay_text() -> None:
    name = "</script><!--<b>"
    table = verdicts(LABELS).with_columns(model=pl.lit(name))
    html = page(run_of(table, name=name), RESOURCES)
    assert html.count("<b>") == 0
    assert json.loads(embedded(html, "data"))["models"] == [name]
    # Each script element ends where it should.
    assert html.count("<script") == html.count("</script>")


def test_the_page_names_no_address_to_load_from() -> None:
    html = page(small_run(), RESOURCES)
    assert not re.search(r"<(link|img|iframe|script[^>]+src)", html.split("<script>")[0])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    assert "default-src &#39;none&#39;" in policy
    assert "unsafe-eval" not in policy


def test_methods_stand_without_the_keys_of_their_citations() -> None:
    weights = "m: weights o/w {hub:o/w@abc}; revision abc."
    sections = [("Prompts", ["Two were asked {cite:advbench}, & <more>."], [weights])]
    html = page(small_run(methods=sections), RESOURCES)
    assert "Two were asked, &amp; &lt;more&gt;." in html
    assert "<li>m: weights o/w; revision abc.</li>" in html
    assert "How this run was made" not in page(small_run(), RESOURCES)


def test_one_of_everything_makes_a_page() -> None:
    for labels in (["R"], ["U"], ["RC"]):
        assert "<h1>" in page(run_of(verdicts({("j", "m"): labels})), RESOURCES)


TEXTS = pl.DataFrame({"prompt_id": ["a", "b"], "prompt": ["Why?", "How?"]})


def replies(*rows: tuple) -> pl.DataFrame:
    columns = ["prompt_id", "temperature", "seed", "response", "finish_reason"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_text_is_packed_once_a_distinct_reply() -> None:
    table = replies(
        ("a", 0.0, 1, "No.", "stop"),
        ("a", 0.0, 2, "No.", "stop"),
        ("a", 1.0, 1, "Yes </script>", "length"),
        ("b", 0.0, 1, "Hm.", "stop"),
    )
    packed = page_text(TEXTS, [("m", table)], ["m"], [0.0, 1.0], [1, 2], ["a", "b"])
    assert json.loads(gzip.decompress(base64.b64decode(packed[0]))) == {
        "prompt": "Why?",
        "replies": ["No.", "Yes </script>"],
        "cells": [0, 0, 1, -1],
        "cut": [1],
    }
    # Without room for both, the first in the order has its text.
    room = len(packed[1])
    rest = page_text(TEXTS, [("m", table)], ["m"], [0.0, 1.0], [1, 2], ["b", "a"], limit=room)
    assert rest == ["", packed[1]]


def test_a_page_without_room_says_of_how_many_prompts_it_has_the_text() -> None:
    assert (
        page(small_run(text=["x", "y", *[""] * 28]), RESOURCES).count(
            "2 of 30 prompts, the least stable, have their text here."
        )
        == 3
    )
    assert "the least stable" not in page(small_run(text=["x"] * 30), RESOURCES).split("</main>")[0]


def test_a_reply_that_no_judge_labelled_is_left_out() -> None:
    table = replies(("a", 0.5, 1, "No.", "stop"))
    packed = page_text(TEXTS, [("m", table)], ["m"], [0.0], [1], ["a"])
    assert json.loads(gzip.decompress(base64.b64decode(packed[0])))["cells"] == [-1]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"labels": ["x.csv"], "report": {"text": "include"}}, "report.text: a run that starts"),
        ({"report": {"text": "hide", "compare_with": "r"}}, "report.compare_with: that is this"),
        ({"report": {"text": "hide", "compare_with": "no"}}, "no results/no/tables/models.csv"),
    ],
)
def test_what_a_page_cannot_show_is_refused(config: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        report.check({"run": "r"} | config)


def test_a_second_run_without_verdicts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tables/models.csv", "verdicts/j/m.parquet"):
        Path("results/other", name).parent.mkdir(parents=True)
    Path("results/other/tables/models.csv").touch()
    config = {"run": "r", "report": {"text": "hide", "compare_with": "other"}}
    with pytest.raises(ConfigError, match=r"no verdicts in results/other\. Hint: "):
        report.check(config)
    Path("results/other/verdicts/j/m.parquet").touch()
    report.check(config)


def test_no_second_run_is_no_files() -> None:
    config = {"run": "r", "report": {"text": "hide"}}
    report.check(config)
    assert report.other_models(config) == ""
    assert report.other_verdicts(config, ["m"]) == []
    assert ABOUT["from_labels"]
