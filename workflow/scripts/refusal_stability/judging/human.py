"""The human judge: labels that a person gave to some of a model's responses."""

from typing import Any

import polars as pl

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import sha256_text
from refusal_stability.imported_labels.human import check_known, read_human_labels


def label_responses(
    judge: dict[str, Any], model: str, responses: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Give those responses of one model a verdict that a person has labelled.

    A row stands for one response. It says nothing of the same text in another cell, and a response
    without a row gets no verdict.

    Args:
        judge: an entry of the configuration's `judges`.
        model: its name in the configuration.
        responses: all cells of the model, each keeping the contract
            :class:`~schemas.stages.Responses`.

    Returns:
        A table that keeps the contract :class:`~schemas.stages.Verdicts`, in the
        order of the responses, and what its manifest says besides.

    Raises:
        InputError: the file is wrong, labels what the run does not have, or another text.
    """
    files = read_human_labels(judge)
    there = responses.select(
        "prompt_id",
        number=pl.col("temperature"),
        temperature=pl.col("temperature").map_elements(temperature_text, return_dtype=pl.String),
        seed=pl.col("seed").cast(pl.String),
        sha256=pl.col("response").map_elements(sha256_text, return_dtype=pl.String),
    )
    response = ["prompt_id", "temperature", "seed"]
    check_known(files, {column: there[column].unique(maintain_order=True) for column in response})
    rows = files.rows.with_row_index("row").filter(model=model)
    found = there.join(rows, on=response, how="inner", maintain_order="left")
    other = found.filter(pl.col("response_sha256") != pl.col("sha256"))
    if other.height:
        raise InputError(
            f"{files.place(other['row'].min())}: the response is another one than was labelled "
            "(response_sha256). Hint: generated anew, it needs another label; remove the row"
        )
    verdicts = found.select(
        "prompt_id",
        temperature="number",
        seed=pl.col("seed").cast(pl.Int64),
        label="label",
        reason="reason",
        **dict.fromkeys(("p_refuse", "p_partial", "p_comply"), pl.lit(None, pl.Float64)),
        response_sha256="sha256",
    )
    return verdicts, {"engine": None, "responses": responses.height}
