"""Does stability fall with temperature? Tests that block on prompts."""

import itertools

import numpy as np
import polars as pl

from refusal_stability.statistics.bootstrap import CONFIDENCE, Resamples, interval
from refusal_stability.statistics.frames import estimate, frame, prompt_mean, with_all, with_sum
from refusal_stability.statistics.hypothesis_tests import friedman, holm, page, signed_rank
from refusal_stability.statistics.run_arrays import RunArrays

PROMPT, PAIR = "prompt", "model_prompt_pair"


def temperature_effect(grid: RunArrays, resamples: Resamples) -> pl.DataFrame | None:
    """Return Friedman's and Page's tests over temperatures; None with a single temperature.

    Blocks are prompts. The unit model_prompt_pair, which arXiv 2512.12066 uses, takes each
    (model, prompt) for a block, as if models saw different prompts; it is given for comparison.
    """
    if len(grid.temperatures) < 2:
        return None
    rows = []
    for judge in grid.judges:
        invalid = np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1)
        # (models + 1, prompts, temperatures)
        ssi = np.moveaxis(grid.measure(judge, "ssi")[:, 1:], 1, -1)
        drop = with_all(ssi[..., 0] - ssi[..., -1])
        # The mean over models has the same models at every temperature.
        ssi = with_all(np.where(np.isnan(ssi).any(axis=-1, keepdims=True), np.nan, ssi))
        low, high = interval(resamples.means(drop), (~np.isnan(drop)).sum(axis=-1))
        for place, model in enumerate(grid.models_and_all):
            rows.append(
                {"judge": judge, "model": model, "unit": PROMPT}
                | {"n_invalid": with_sum(invalid)[place]}
                | _tests(ssi[place])
                | _drop(drop[place], low[place], high[place])
            )
        pairs = ssi[:-1].reshape(-1, ssi.shape[-1])
        drop = drop[:-1].ravel()
        rows.append(
            {"judge": judge, "model": grid.models_and_all[-1], "unit": PAIR}
            | {"n_invalid": invalid.sum()}
            | _tests(pairs)
            | _drop(drop, *_pair_interval(drop, resamples))
        )
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def temperature_pairs(grid: RunArrays, resamples: Resamples) -> pl.DataFrame | None:
    """Return paired differences of SSI between temperatures; None with a single temperature.

    Holm's correction is over the pairs of temperatures of one judge and model.
    """
    if len(grid.temperatures) < 2:
        return None
    pairs = list(itertools.combinations(range(len(grid.temperatures)), 2))
    tables = []
    for judge in grid.judges:
        ssi = grid.measure(judge, "ssi")[:, 1:]
        # (models + 1, pairs, prompts)
        differences = with_all(np.stack([ssi[:, a] - ssi[:, b] for a, b in pairs], axis=1))
        n = (~np.isnan(differences)).sum(axis=-1)
        bounds = interval(resamples.means(differences), n)
        p = np.apply_along_axis(signed_rank, -1, differences)
        invalid = with_sum(np.nansum(grid.measure(judge, "n_invalid")[:, 1:], axis=-1))
        ends = [[grid.temperatures[pair[end]] for pair in pairs] for end in (0, 1)]
        tables.append(
            frame(
                {"model": grid.models_and_all, "pair": range(len(pairs))},
                temperature_a=np.broadcast_to(ends[0], n.shape),
                temperature_b=np.broadcast_to(ends[1], n.shape),
                n=n,
                n_invalid=np.stack([invalid[:, a] + invalid[:, b] for a, b in pairs], axis=1),
                **estimate("difference", prompt_mean(differences), *bounds),
                p=p,
                p_holm=np.apply_along_axis(holm, -1, p),
            ).with_columns(judge=pl.lit(judge))
        )
    return pl.concat(tables)


def _tests(blocks: np.ndarray) -> dict[str, float]:
    complete = blocks[~np.isnan(blocks).any(axis=1)]
    n, k = complete.shape
    chi2, p = friedman(complete) if n else (float("nan"),) * 2
    z, page_p = page(complete) if n else (float("nan"),) * 2
    return {
        "n": n,
        "friedman_chi2": chi2,
        "friedman_p": p,
        "kendalls_w": round(chi2 / (n * (k - 1)), 12) if n else float("nan"),
        "page_z": z,
        "page_p": page_p,
    }


def _drop(drop: np.ndarray, low: float, high: float) -> dict[str, float]:
    known = drop[~np.isnan(drop)]
    mean = known.mean() if known.size else float("nan")
    columns = estimate("ssi_drop", *(np.array(value) for value in (mean, low, high)))
    return {name: float(value) for name, value in columns.items()}


def _pair_interval(drop: np.ndarray, resamples: Resamples) -> tuple[float, float]:
    # Pairs are their own units here: resample how often each value of the drop occurs.
    values, counts = np.unique(np.round(drop[~np.isnan(drop)], 12), return_counts=True)
    n = counts.sum()
    if n < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(resamples.seed).multinomial(n, counts / n, resamples.resamples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn @ values / n, [tail, 1 - tail])
    return float(low), float(high)
