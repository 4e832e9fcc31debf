"""Judging with one engine for all models: what is finished is not judged again."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.cache.keys import weights_identity
from refusal_stability.cache.results import ResultCache
from refusal_stability.cache.staging import JobSeconds, StagedResults, work_key
from refusal_stability.core import hashing, versions
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.engine import vllm_engine
from refusal_stability.judging import judge as judging
from refusal_stability.judging import local
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses
from refusal_stability.settings.judges import instructions_file


def judge_missing(
    judge: dict[str, Any],
    models: Mapping[str, Sequence[Path]],
    prompts: pl.DataFrame,
    work: StagedResults,
    memory: Path,
    cache: ResultCache | None,
) -> None:
    """Judge those models that are not finished, and keep the verdicts on each as soon as they are.

    Args:
        judge: an entry of the configuration's `judges` with weights, defaults filled in.
        models: the files of each one's cells.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        work: keeps the verdicts on each model, by its name.
        memory: folder in which checksums of weights are remembered.
        cache: the verdicts of all runs, or None.

    Raises:
        InputError: the file that the judge follows, or its weights, cannot be used.
    """
    decisive = [
        versions.JUDGING,
        {key: value for key, value in judge.items() if key != "weights"},
        hashing.sha256_file(Path(instructions_file(judge))),
        weights_identity(judge, vllm_engine.local_weights(judge), memory),
        prompts_sha256(prompts["prompt_id"]),
    ]
    keys = {
        model: work_key(*decisive, [hashing.sha256_file(path) for path in cells])
        for model, cells in models.items()
    }
    seconds = JobSeconds()
    missing = work.missing(keys)
    print(f"{len(models) - len(missing)} of {len(models)} models are finished", file=sys.stderr)
    for model in missing:
        responses = pl.concat(storage.read_parquet(path, Responses) for path in models[model])
        verdicts, manifest = judging.judge_model(judge, model, prompts, responses, cache)
        manifest |= {"sharing": "model", "job_seconds": seconds.lap()}
        work.keep(model, keys[model], verdicts, manifest)
        print(f"{model}: {judging.summary(manifest)}", file=sys.stderr)
    local.end_engine(judge)
