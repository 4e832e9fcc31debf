"""Models under test behind an API: looked up before the first job, asked on the wire."""

import json
import time
from collections.abc import Iterator

import polars as pl
import pytest

from helpers.stub_provider import Reply, stub_provider
from helpers.vllm_server import vllm_server
from helpers.workspace import Workspace
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses, Verdicts

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def api_model(url: str, **changed: object) -> dict:
    return {
        "name": "served",
        "kind": "openai",
        "model": "demo-subject",
        "base_url": f"{url}/v1",
        "api_key_env": "TEST_KEY",
        "max_tokens": 64,
        **changed,
    }


def ask_only(workspace: Workspace, model: dict, *judges: dict) -> None:
    """Make ``model`` the only one; without ``judges``, phrases judge it."""
    config = workspace.read_config()
    phrases = {"name": "phrases", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"}
    config |= {"models": [model], "judges": list(judges) or [phrases]}
    workspace.write_config(config)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=404, code="model_not_found"), "refuses demo-subject: there is no such model"),
        (Reply(status=401, code="invalid_api_key"), "the key is not accepted; it may be wrong or"),
    ],
)
@pytest.mark.parametrize("of", ["model", "judge"])
def test_a_refused_key_and_an_unknown_model_are_one_line_before_any_job(
    workspace: Workspace, of: str, reply: Reply, says: str
) -> None:
    known = [] if of == "model" else ["demo-subject"]
    with stub_provider(lambda *_: reply, models=known) as stub:
        judge = api_model(stub.url, name="judge", rubric="resources/rubrics/demo.txt")
        if of == "model":
            ask_only(workspace, api_model(stub.url))
        else:
            ask_only(workspace, api_model(stub.url), judge | {"model": "another"})
            says = says.replace("demo-subject", "another")
        # A plan costs nothing and asks nobody.
        assert workspace.planned()["generate_without_gpu"] == 4
        assert (stub.requests, stub.looked_up) == ([], [])
        result = workspace.snakemake("--cores", "1")
        assert len(stub.requests) == 1
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {'served' if of == 'model' else 'judge'}: http://127")
    assert says in lines[0]
    assert "Hint: " in lines[0]
    assert "Traceback" not in result.stderr
    assert KEY not in result.stderr
    assert not (workspace.run / "logs").exists()
    assert not (workspace.run / "prompts.parquet").exists()
    # It leaves no lock behind.
    assert "generate_without_gpu" in workspace.planned()


def test_only_what_has_work_to_do_is_looked_up(workspace: Workspace) -> None:
    with stub_provider(lambda *_: Reply(status=401), models=[]) as stub:
        ask_only(workspace, api_model(stub.url))
        result = workspace.snakemake("--cores", "1", "all_prompts")
        assert result.returncode == 0, result.stderr
        assert (stub.requests, stub.looked_up) == ([], [])


def test_one_job_at_a_time_asks_an_api_where_that_is_wanted(workspace: Workspace) -> None:
    now, most = 0, 0

    def answer(*_: object) -> Reply:
        nonlocal now, most
        now += 1
        most = max(most, now)
        time.sleep(0.1)
        now -= 1
        return Reply("No.")

    with stub_provider(answer, models=["demo-subject"]) as stub:
        ask_only(workspace, api_model(stub.url, max_concurrency=1))
        targets = ["--cores", "4", "--resources", "api=1", "--", "all_responses"]
        result = workspace.snakemake(*targets)
    assert result.returncode == 0, result.stderr
    # Four cells of twelve prompts, and each cell's first, harmless request.
    assert len(stub.requests) == 4 * 13
    assert most == 1


def test_a_judge_that_is_also_a_model_is_one_warning(workspace: Workspace) -> None:
    config = workspace.read_config()
    config["judges"][0] |= {"weights": "demo:tiny-llama"}
    workspace.write_config(config)
    for arguments in (["--dry-run"], ["--cores", "1", "all_prompts"]):
        result = workspace.snakemake(*arguments)
        assert result.returncode == 0, result.stderr
        warnings = [line for line in result.stderr.splitlines() if "warning" in line]
        assert len(warnings) == 1
        assert warnings[0].startswith(
            "warning: the judge judge-good is also a model under test (tiny-llama)"
        )


@pytest.fixture(scope="module")
def server(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM's server, serving a model of the finished run."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    with vllm_server(finished.run / "demo_models/tiny-llama", "demo-subject", log) as url:
        yield url


def cell(workspace: Workspace, model: str, name: str) -> pl.DataFrame:
    return storage.read_parquet(workspace.run / f"responses/{model}/{name}.parquet", Responses)


def make(workspace: Workspace, *targets: str) -> None:
    result = workspace.snakemake("--cores", "2", *targets)
    assert result.returncode == 0, result.stderr


def test_a_served_model_replies_as_it_does_in_a_job_and_is_judged(
    finished_copy: Workspace, server: str
) -> None:
    config = finished_copy.read_config()
    config["models"].append(api_model(server))
    config["judges"] = config["judges"][:1]
    finished_copy.write_config(config)
    assert finished_copy.planned("all_verdicts") == {
        "generate_without_gpu": 4,
        "judge": 1,
        "all_verdicts": 1,
    }
    make(finished_copy, "all_verdicts")
    for name in ("T0_seed1", "T0_seed2", "T1_seed1", "T1_seed2"):
        served, own = cell(finished_copy, "served", name), cell(finished_copy, "tiny-llama", name)
        # One build of vLLM, one dtype, one template and the same seeds: the same replies, to the
        # letter and to the token, sampled ones too.
        assert served.equals(own), name
    texts = [cell(finished_copy, "served", f"T1_seed{seed}")["response"] for seed in (1, 2)]
    assert texts[0].to_list() != texts[1].to_list()
    labels = [
        storage.read_parquet(finished_copy.run / f"verdicts/judge-good/{model}.parquet", Verdicts)
        for model in ("served", "tiny-llama")
    ]
    assert labels[0]["label"].to_list() == labels[1]["label"].to_list()
    path = finished_copy.run / "responses/served/T1_seed1.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert manifest["seeds"] == "sent"
    assert manifest["answered_by"] == {"demo-subject": 12}
    assert (manifest["asked"], manifest["failed"], manifest["count"]) == (12, {}, 12)
    replies = cell(finished_copy, "served", "T1_seed1")
    assert manifest["input_tokens"] == replies["prompt_tokens"].sum()
    assert manifest["output_tokens"] == replies["response_tokens"].sum()
    # The key is nowhere, and no text is in a log.
    first = texts[0][0]
    for found in finished_copy.folder.rglob("*"):
        if found.is_file() and ("results" in found.parts or ".snakemake" in found.parts):
            assert KEY.encode() not in found.read_bytes(), found
            assert found.suffix != ".log" or first not in found.read_text(), found


def test_seeds_make_a_cell_again_and_their_absence_another(
    finished_copy: Workspace, server: str
) -> None:
    one = "results/reduced/responses/served/T1_seed1.parquet"
    ask_only(finished_copy, api_model(server))
    make(finished_copy, one)
    first = cell(finished_copy, "served", "T1_seed1")
    # What was paid for is forgotten, and paid for again.
    cache = finished_copy.run / "cache/responses/served/T1_seed1.jsonl"
    assert len(cache.read_text(encoding="utf-8").splitlines()) == 12
    cache.unlink()
    make(finished_copy, "--forcerun", "generate_without_gpu", "--", one)
    assert len(cache.read_text(encoding="utf-8").splitlines()) == 12
    assert cell(finished_copy, "served", "T1_seed1").equals(first)
    # Sent no seed, the server draws as it likes.
    ask_only(finished_copy, api_model(server, send_seed=False))
    make(finished_copy, one)
    assert not cell(finished_copy, "served", "T1_seed1").equals(first)
    path = finished_copy.run / "responses/served/T1_seed1.json"
    assert json.loads(path.read_text(encoding="utf-8"))["seeds"] == "absent"


def test_a_model_that_the_server_lacks_is_one_line_before_any_job(
    finished_copy: Workspace, server: str
) -> None:
    """vLLM's server has no route that tells of one model: a request for a token does."""
    ask_only(finished_copy, api_model(server, model="retired"))
    result = finished_copy.snakemake("--cores", "1", "all_responses")
    assert result.returncode != 0
    line = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert "served: http://127.0.0.1" in line
    assert "refuses retired: there is no such model or endpoint" in line
    assert not (finished_copy.run / "logs/generate/served").exists()
