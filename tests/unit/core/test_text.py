"""Numbers in sentences: one number is told in one way."""

import numpy as np
import polars as pl

from refusal_stability.core.text import decimals
from refusal_stability.experiments.compare.analysis import caption
from refusal_stability.report.captions import CaptionTables
from refusal_stability.report.paper.tables import number


def test_what_was_computed_is_rounded_as_what_was_read() -> None:
    # A mean of 60 prompts x 20 replies, as computed and as it stands in a table.
    computed, read = 0.8975000000000002, 0.8975
    assert f"{computed:.3f}" != f"{read:.3f}"
    for told in (decimals, CaptionTables.number, number):
        assert told(computed) == told(read) == "0.897"
    assert decimals(0.0625) == "0.063"
    assert decimals(-0.0625) == "-0.063"
    assert number(1234.56) == "1,234.6"
    assert number(-0.0001) == "0.000"


def test_a_caption_has_the_numbers_of_its_table() -> None:
    def said(value: float) -> str:
        row = {"judge": "j", "category": "(all)", "measure": "mean_ssi", "n": 60, "p_holm": 0.5}
        row |= {"value_a": value, "value_b": 0.5, "difference": value - 0.5}
        row |= {"difference_low": None, "difference_high": None}
        changes = pl.DataFrame({"judge": "j", "prompt_id": "p", "change": 0.0})
        return caption(pl.DataFrame([row]), changes, ("m", "n"))

    values = np.arange(0.3, 1, 0.0125)
    in_tables = pl.Series(values).round_sig_figs(12)
    assert [said(value) for value in values] == [said(value) for value in in_tables]
    assert "Mean SSI is 0.897 against 0.500" in said(0.8975000000000002)
