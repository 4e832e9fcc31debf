"""Inputs of any size for the stages whose growth is measured."""

import itertools
import sys
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from processes import SCRIPTS, run_script

import tables

sys.path.insert(0, str(SCRIPTS))

from refusal_stability.controller.check_config import checked_config
from refusal_stability.core.hashing import sha256_text
from refusal_stability.demo import training
from refusal_stability.prompts import demo_corpus
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses, Verdicts

REPOSITORY = SCRIPTS.parents[1]
RUBRIC = REPOSITORY / "resources/rubrics/demo.txt"
SPECS = REPOSITORY / "resources/demo/models.yaml"
CORPUS_FILE = REPOSITORY / "resources/demo/corpus.yaml"
CORPUS = demo_corpus.load_corpus(CORPUS_FILE)
MODELS, SAMPLES = 4, 20


def demo_config() -> dict[str, Any]:
    """Return the demo's configuration with every default filled in."""
    path = REPOSITORY / "config/demo.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    schema = REPOSITORY / "workflow/schemas/config.schema.yaml"
    names = list(training.load_specs(SPECS))
    config = checked_config(config, schema, str(path), names)
    # The scripts do not all run in the repository.
    for judge in config["judges"]:
        judge["rubric"] = str(REPOSITORY / judge["rubric"])
    return config


def trained(name: str, folder: Path) -> dict[str, Any]:
    """Train a demo model or judge into ``folder``; return what a job is told of it."""
    run_script(
        "train_demo_model",
        *("--spec", SPECS, "--corpus", CORPUS_FILE, "--rubric", RUBRIC),
        *("--name", name, "--output", folder / name),
    )
    config = demo_config()
    entries = config["models"] + config["judges"]
    entry = next(entry for entry in entries if entry["name"] == name)
    return entry | {"weights": str(folder / name)}


def texts(size: int) -> list[str]:
    """Return distinct prompts like those of the demo."""
    heldout = itertools.cycle(demo_corpus.heldout_prompts(CORPUS))
    return [
        f"{prompt['prompt']} {number}" for number, prompt in zip(range(size), heldout, strict=False)
    ]


def prompt_file(folder: Path, size: int) -> Path:
    path = folder / f"{size}.csv"
    pl.DataFrame({"prompt": texts(size)}).write_csv(path)
    return path


def prompts(folder: Path, size: int) -> Path:
    path = folder / f"{size}.parquet"
    storage.write_parquet(_prompts(size), path, Prompts)
    return path


def _prompts(size: int) -> pl.DataFrame:
    every = texts(size)
    return pl.DataFrame(
        {
            "prompt_id": [sha256_text(text)[:12] for text in every],
            "prompt": every,
            "source": "demo",
            "category": None,
        },
        schema_overrides={"category": pl.String},
    )


def responses(folder: Path, size: int) -> Path:
    """Write prompts.parquet and a cell of distinct replies to them; return the model's folder."""
    asked = _prompts(size)
    storage.write_parquet(asked, folder / "prompts.parquet", Prompts)
    replies = [
        f"{opening} {sentence}"
        for topic in CORPUS["topics"].values()
        for label, sentences in topic["replies"].items()
        for opening, sentence in itertools.product(CORPUS["openings"][label], sentences)
    ]
    cell = asked.select("prompt_id").with_columns(
        temperature=0.7,
        seed=pl.lit(1, dtype=pl.Int64),
        response=pl.Series(list(itertools.islice(itertools.cycle(replies), size))),
        reasoning=pl.lit(None, dtype=pl.String),
        finish_reason=pl.lit("stop"),
        prompt_tokens=20,
        response_tokens=10,
    )
    path = folder / "responses/tiny-llama/T0.7_seed1.parquet"
    storage.write_parquet(cell, path, Responses)
    return path.parent


def verdicts(folder: Path, prompts: int) -> Path:
    """Draw the verdicts of 2 judges on 4 models and 20 samples; return the run's folder."""
    run = folder / str(prompts)
    if not run.exists():
        tables.draw(run, MODELS, prompts, SAMPLES)
    return run


def label_file(folder: Path, prompts: int) -> Path:
    """Write the labels of :func:`verdicts` as one file that somebody might have."""
    path = folder / f"labels_{prompts}.csv"
    parts = [
        storage.read_parquet(file, Verdicts).select(
            pl.lit(file.stem).alias("model"),
            "prompt_id",
            "temperature",
            "seed",
            pl.col("label").cast(pl.String),
            pl.lit(file.parent.name).alias("judge"),
        )
        for file in sorted(verdicts(folder, prompts).glob("verdicts/*/*.parquet"))
    ]
    pl.concat(parts).write_csv(path)
    return path


def manifests(folder: Path, cells: int) -> tuple[Path, dict[str, Any]]:
    """Write the manifests and benchmark files of a run that never ran; return it and its grid."""
    run = folder / str(cells)
    grid = {
        "models": [f"model-{number}" for number in range(4)],
        "judges": ["a", "b"],
        "temperatures": ["0", "0.3", "0.7", "1"],
        "seeds": list(range(cells // 16)),
    }
    manifest = {"model": {"gpus": 1}, "count": 876, "input_tokens": 9, "output_tokens": 9}
    judged = {"judge": {"gpus": 1}, "count": 876, "distinct_pairs": 9, "invalid": {}} | manifest
    for model in grid["models"]:
        for temperature, seed in itertools.product(grid["temperatures"], grid["seeds"]):
            name = f"{model}/T{temperature}_seed{seed}"
            _write(run, "generate", f"responses/{name}.json", name, manifest)
        for judge in grid["judges"]:
            name = f"{judge}/{model}"
            _write(run, "judge", f"verdicts/{name}.json", name, judged)
    return run, grid


def _write(run: Path, rule: str, file: str, name: str, manifest: dict[str, Any]) -> None:
    storage.write_json(manifest, run / file)
    path = run / f"benchmarks/{rule}/{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("s\n9.0\n", encoding="utf-8")
