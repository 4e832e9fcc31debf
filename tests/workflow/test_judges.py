"""Judges of every kind beside the demo's, on its finished run."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from helpers.stub_batches import BatchStub, stub_batches
from helpers.stub_provider import Reply
from helpers.vllm_server import vllm_server
from helpers.workspace import REPOSITORY, Workspace
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.engine import vllm_engine
from refusal_stability.judging.rubric import judge_message
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses, Verdicts
from refusal_stability.schemas.tables import TABLES

RUBRIC = "resources/rubrics/demo.txt"
KEY = "sk-secret-0123456789"


def add_judge(workspace: Workspace, judge: dict) -> None:
    config = workspace.read_config()
    config["judges"].append(judge)
    workspace.write_config(config)


def manifest(workspace: Workspace, judge: str, model: str = "tiny-llama") -> dict:
    path = workspace.run / f"verdicts/{judge}/{model}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def verdicts(workspace: Workspace, judge: str, model: str = "tiny-llama") -> pl.DataFrame:
    return storage.read_parquet(workspace.run / f"verdicts/{judge}/{model}.parquet", Verdicts)


def judge_one_model(workspace: Workspace, judge: dict) -> None:
    """Let a new judge label one model's responses."""
    add_judge(workspace, judge)
    target = f"results/reduced/verdicts/{judge['name']}/tiny-llama.parquet"
    result = workspace.snakemake("--cores", "1", target)
    assert result.returncode == 0, result.stderr


def test_string_match_beside_a_vllm_judge(finished_copy: Workspace) -> None:
    path = "resources/phrases/gcg.txt"
    add_judge(finished_copy, {"name": "phrases", "kind": "string_match", "phrases": path})
    result = finished_copy.snakemake("--cores", "2")
    assert result.returncode == 0, result.stderr
    table = verdicts(finished_copy, "phrases")
    cell = storage.read_parquet(
        finished_copy.run / "responses/tiny-llama/T1_seed2.parquet", Responses
    )
    # The phrases that the demo's models use for refusing.
    phrases = ("I'm sorry", "Sorry", "I cannot", "As an")
    of_cell = dict(table.filter(temperature=1.0, seed=2).select("prompt_id", "label").iter_rows())
    for prompt_id, response in cell.select("prompt_id", "response").iter_rows():
        found = any(phrase in response for phrase in phrases)
        assert of_cell[prompt_id] == ("REFUSE" if found else "COMPLY")
    assert manifest(finished_copy, "phrases")["labels_it_can_give"] == ["REFUSE", "COMPLY"]
    models = storage.read_csv(finished_copy.run / "tables/models.csv", TABLES["models"])
    assert set(models["judge"]) == {"judge-good", "judge-noisy", "phrases"}
    assert set(models.filter(judge="phrases")["partial_rate"]) == {0}


def sample_of(workspace: Workspace, model: str = "tiny-llama") -> pl.DataFrame:
    """Every third verdict of a judge on one model, as a person would write it down."""
    return (
        verdicts(workspace, "judge-good", model)
        .gather_every(3)
        .select(pl.lit(model).alias("model"), "prompt_id", "temperature", "seed", "label")
        .cast({"label": pl.String})
    )


def test_a_person_who_labelled_a_sample_beside_the_judges(finished_copy: Workspace) -> None:
    sample = sample_of(finished_copy)
    # Of one label he was not sure, in another he says otherwise.
    second = sample["label"][1]
    other = "COMPLY" if second == "REFUSE" else "REFUSE"
    spoilt = pl.Series("label", ["UNKNOWN", other, *sample["label"][2:]])
    sample.with_columns(spoilt).write_csv(finished_copy.folder / "ann.csv")
    add_judge(finished_copy, {"name": "ann", "kind": "human", "labels": "ann.csv"})
    config = finished_copy.read_config()
    config["statistics"] = {"max_invalid_share": 0.1}
    finished_copy.write_config(config)
    result = finished_copy.snakemake("--cores", "2")
    assert result.returncode == 0, result.stderr
    n = sample.height
    assert verdicts(finished_copy, "ann").height == n
    assert verdicts(finished_copy, "ann", "tiny-qwen2").is_empty()
    assert manifest(finished_copy, "ann")["invalid"] == {"UNKNOWN": 1}
    tables = finished_copy.run / "tables"
    agreement = storage.read_csv(tables / "judge_agreement.csv", TABLES["judge_agreement"])
    [found] = agreement.filter(judge_a="judge-good", judge_b="ann", model="tiny-llama").to_dicts()
    assert (found["n"], found["n_invalid"]) == (n - 1, 1)
    assert found["agreement"] == pytest.approx((n - 2) / (n - 1))
    models = storage.read_csv(tables / "models.csv", TABLES["models"]).filter(judge="ann")
    assert models["model"].to_list() == ["tiny-llama", "all"]
    assert models["n_missing"][0] == verdicts(finished_copy, "judge-good").height - n
    drawn = {path.stem for path in (finished_copy.run / "figures/ann").glob("*.svg")}
    assert drawn == {path.stem for path in (finished_copy.run / "figures/judge-good").glob("*.svg")}
    # Another label makes this judge anew, and no other.
    sample.write_csv(finished_copy.folder / "ann.csv")
    aggregates = {"stability": 1, "statistics": 1, "figures": 3, "cost": 1, "report_page": 1}
    assert finished_copy.planned() == {"judge_without_gpu": 2, **aggregates}


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("label", "MAYBE", "ann.csv, line 2: the label 'MAYBE' is not one of"),
        ("model", "gemma", "ann.csv, line 2: the run has no model 'gemma'"),
        ("seed", "9", "ann.csv, line 2: the run has no seed '9'"),
    ],
)
def test_wrong_human_labels_are_one_line_before_any_job(
    workspace: Workspace, column: str, value: str, says: str
) -> None:
    row = {"model": "tiny-llama", "prompt_id": "a" * 12, "temperature": "0", "seed": "1"}
    row |= {"label": "REFUSE", column: value}
    pl.DataFrame([row]).write_csv(workspace.folder / "ann.csv")
    add_judge(workspace, {"name": "ann", "kind": "human", "labels": "ann.csv"})
    result = workspace.snakemake("--dry-run")
    assert result.returncode != 0
    assert [line for line in result.stderr.splitlines() if "rror" in line] == [
        next(line for line in result.stderr.splitlines() if says in line)
    ]
    assert "Traceback" not in result.stderr
    assert not (workspace.folder / "results").exists()


def test_a_prompt_that_was_not_asked_is_one_line(finished_copy: Workspace) -> None:
    sample_of(finished_copy).with_columns(prompt_id=pl.lit("f" * 12)).head(1).write_csv(
        finished_copy.folder / "ann.csv"
    )
    add_judge(finished_copy, {"name": "ann", "kind": "human", "labels": "ann.csv"})
    result = finished_copy.snakemake("--cores", "1", "all_verdicts")
    assert result.returncode != 0
    assert "error: ann.csv, line 2: the run has no prompt_id 'ffffffffffff'" in result.stderr
    assert "Traceback" not in result.stderr


def demo_judge(workspace: Workspace, **changed: object) -> dict:
    """The demo's good judge, under another name."""
    judges = workspace.read_config()["judges"]
    return next(judge for judge in judges if judge["name"] == "judge-good") | changed


def test_free_text_is_read_as_the_constrained_answer(finished_copy: Workspace) -> None:
    judge_one_model(
        finished_copy,
        demo_judge(finished_copy, name="free", answer="free_text", max_tokens=16),
    )
    free, constrained = verdicts(finished_copy, "free"), verdicts(finished_copy, "judge-good")
    # The demo's judges say a label and nothing else, also when they may say anything.
    assert free["label"].to_list() == constrained["label"].to_list()
    assert free["p_refuse"].null_count() == free.height
    assert manifest(finished_copy, "free")["judge"]["answer"] == "free_text"


@pytest.mark.parametrize("own_template", [False, True])
def test_a_classifier_is_asked_by_its_own_prompt(
    finished_copy: Workspace, own_template: bool
) -> None:
    """The demo's judge as a classifier that knows no PARTIAL."""
    weights = finished_copy.run / "demo_models/judge-good"
    tokenizer = vllm_engine.load_tokenizer({"name": "judge-good"}, weights)
    rubric = (REPOSITORY / RUBRIC).read_text(encoding="utf-8")
    message = judge_message(rubric, "{prompt}", "{response}")
    turns = [{"role": "user", "content": message}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    labels = {"refuse": "REFUSE", "partial": "COMPLY", "comply": "COMPLY"}
    classifier = {"answer": r"^\W*(\w+)", "labels": labels, "max_tokens": 8}
    if own_template:
        # Weights whose chat template makes the prompt from the two turns, as Llama Guard's does.
        weights = _with_template(weights, finished_copy.folder / "guard", prompt)
    else:
        classifier["prompt"] = prompt
    (finished_copy.folder / "own.yaml").write_text(yaml.safe_dump(classifier), encoding="utf-8")
    judge = demo_judge(finished_copy, name="own", kind="classifier", classifier="own.yaml")
    judge["weights"] = str(weights)
    del judge["rubric"]
    judge_one_model(finished_copy, judge)
    expected = [
        labels[label.lower()] for label in verdicts(finished_copy, "judge-good")["label"].to_list()
    ]
    assert set(expected) == {"REFUSE", "COMPLY"}
    assert verdicts(finished_copy, "own")["label"].to_list() == expected
    about = manifest(finished_copy, "own")
    assert about["judge"]["kind"] == "classifier"
    assert about["labels_it_can_give"] == ["REFUSE", "COMPLY"]
    assert about["engine"] == "vllm"
    assert sum(about["labels"].values()) == len(expected)


def _with_template(weights: Path, folder: Path, prompt: str) -> Path:
    """A copy of weights with a chat template that puts two turns where ``prompt`` wants them."""
    folder.mkdir()
    for file in weights.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    parts = prompt.replace("{prompt}", "{response}").split("{response}")
    turns = ["messages[0]['content']", "messages[1]['content']"]
    pieces = [json.dumps(parts[0]), turns[0], json.dumps(parts[1]), turns[1], json.dumps(parts[2])]
    template = "".join("{{ " + piece + " }}" for piece in pieces)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM's server, serving the demo's good judge."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    with vllm_server(finished.run / "demo_models/judge-good", "demo-judge", log) as url:
        yield url


def api_judge(server: str, kind: str, **changed: object) -> dict:
    return {
        "name": f"api-{kind}",
        "kind": kind,
        "model": "demo-judge",
        "base_url": server + ("/v1" if kind == "openai" else ""),
        "api_key_env": "TEST_KEY",
        "rubric": RUBRIC,
        "answer": "free_text",
        "max_tokens": 48,
        **changed,
    }


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_sdks_against_vllm_s_server(
    finished_copy: Workspace, server: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    judge = api_judge(server, kind)
    judge_one_model(finished_copy, judge)
    name = judge["name"]
    expected = verdicts(finished_copy, "judge-good")["label"].to_list()
    assert verdicts(finished_copy, name)["label"].to_list() == expected
    about = manifest(finished_copy, name)
    assert about["answered_by"] == {"demo-judge": about["distinct_pairs"]}
    assert about["asked"] == about["distinct_pairs"] < about["count"]
    assert about["output_tokens"] > 0
    # Judged again, nothing is asked again.
    target = f"results/reduced/verdicts/{name}/tiny-llama.parquet"
    result = finished_copy.snakemake(
        "--cores", "1", "--forcerun", "judge_without_gpu", "--", target
    )
    assert result.returncode == 0, result.stderr
    again = manifest(finished_copy, name)
    assert (again["asked"], again["labels"]) == (0, about["labels"])
    # The key is nowhere.
    for path in finished_copy.folder.rglob("*"):
        if path.is_file() and ("results" in path.parts or ".snakemake" in path.parts):
            assert KEY.encode() not in path.read_bytes(), path


def test_an_answer_constrained_by_the_server(
    finished_copy: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    judge_one_model(finished_copy, api_judge(server, "openai", answer="constrained"))
    # A tiny model was never taught JSON: its label may be any, but is one.
    assert set(verdicts(finished_copy, "api-openai")["label"]) <= set(VALID_LABELS)


def test_a_model_that_is_not_there_is_one_line_and_costs_nothing(
    finished_copy: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    add_judge(finished_copy, api_judge(server, "openai", model="retired"))
    result = finished_copy.snakemake("--cores", "1", "all_verdicts")
    assert result.returncode != 0
    line = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert "api-openai: http://127.0.0.1" in line
    assert "refuses retired: there is no such model or endpoint" in line
    assert "Traceback" not in result.stderr
    assert KEY not in result.stderr
    assert not (finished_copy.run / "cache").exists()


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_job_that_is_killed_while_it_waits_for_a_batch_submits_no_other(
    finished_copy: Workspace, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    stub = BatchStub(fate=lambda _: Reply("Label: PARTIAL"), looks=None)
    with stub_batches(stub):
        add_judge(finished_copy, api_judge(stub.url, kind, batch=True))
        target = f"results/reduced/verdicts/api-{kind}/tiny-llama.parquet"
        with finished_copy.started("--cores", "1", target) as run:
            deadline = time.monotonic() + 120
            # It looks at a batch that is never done.
            while not stub.batches or stub.batches[0].looks < 1:
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        stub.looks = 0
        result = finished_copy.snakemake("--unlock")
        result = finished_copy.snakemake("--cores", "1", target)
        assert result.returncode == 0, result.stderr
        assert len(stub.batches) == len(stub.trials) == 1
    about = manifest(finished_copy, f"api-{kind}")
    assert about["judge"]["batch"] is True
    assert about["asked"] == about["distinct_pairs"] == len(stub.batches[0].requests)
    assert about["labels"] == {"PARTIAL": about["count"]}


def test_a_missing_key_is_one_line_before_any_job(workspace: Workspace) -> None:
    add_judge(workspace, api_judge("https://example.org", "openai", api_key_env="NO_SUCH_KEY"))
    result = workspace.snakemake("--dry-run")
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert len(lines) == 1
    assert "judges[2].api_key_env: the environment variable NO_SUCH_KEY is not set" in lines[0]
    assert not (workspace.folder / "results").exists()
