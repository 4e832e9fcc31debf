"""What a paper gets of a run: true sentences, and tables that GitHub and LaTeX read."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.report.paper import methods as paper_methods
from refusal_stability.report.paper import write
from refusal_stability.report.paper.manifests import ranges, read_manifest, seen
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.tables import TABLES

CITATIONS = (Path(__file__).parents[4] / "resources/citations.bib").read_text(encoding="utf-8")
SETTINGS = {
    "unstable_below": 0.8,
    "thresholds": [0.7, 0.9],
    "max_invalid_share": 0.01,
    "bootstrap_resamples": 2000,
    "bootstrap_seed": 1,
}
# Every sign that means something to LaTeX or to Markdown.
NASTY = r"[a]&b%c$d#e_f{g}h~i^j\k|l<m>n'o\"p*q`r" + "\u00e9\u4e00\n"


def table(rows: int) -> pl.DataFrame:
    contract = TABLES["within_temperature"]
    values = dict.fromkeys(contract.column_names(), 0.5) | {"judge": NASTY}
    counts = {name: 60 for name in values if name.startswith("n_")}
    made = [values | counts | {"model": f"m_{n}", "temperature": n / 10} for n in range(rows)]
    return contract.validate(pl.DataFrame(made), cast=True)


CALIBRATION = EXPERIMENT_TABLES["boundary_calibration"].validate(
    pl.DataFrame(
        [
            {
                "judge": "j",
                "model": NASTY,
                "scope": "pooled",
                "at_least": n / 60,
                "at_most": 1,
                "n": n,
            }
            | dict.fromkeys(
                ("predicted_flip_rate", "flip_rate", "flip_rate_low", "flip_rate_high"), n / 60
            )
            for n in range(60)
        ]
    ),
    cast=True,
)


def cell(**facts: object) -> dict:
    """The manifest of a cell of a model with weights."""
    model = {
        "weights": "owner/name",
        "gpus": 2,
        "nodes": 2,
        "max_model_len": 4096,
        "max_tokens": 512,
        "top_p": 1.0,
        "top_k": 0,
        "seed_scope": "prompt",
    }
    return {
        "model": model,
        "temperature": 0.7,
        "seed": 42,
        "engine": "vllm",
        "engine_version": "0.32.0",
        "torch_version": "2.13.0",
        "transformers_version": "5.19.0",
        "device": "NVIDIA H100",
        "dtype": "bfloat16",
        "determinism": "default",
        "revision": "abc123",
        "chat_template_sha256": "0" * 64,
        "sharing": "cell",
        "count": 60,
    } | facts


def test_facts_that_differ_between_cells_are_counted() -> None:
    cells = [{"device": "H100"}, {"device": "H100"}, {"device": "A100"}, {"device": None}]
    assert seen(cells[:2], "device") == "H100"
    assert seen(cells[:3], "device") == "H100 (2 of 3), A100 (1 of 3)"
    # That one does not know is not hidden.
    assert seen([cells[0], cells[3]], "device") == "H100 (1 of 2)"
    assert seen(cells[3:], "device") is None
    assert ranges([46, 42, 43, 44, 1, 2]) == "1, 2, 42-44, 46"


def test_a_model_with_weights_is_described_by_its_cells() -> None:
    said = paper_methods.of_model("m", [cell(), cell(device="NVIDIA A100", from_cache=60)])
    for fact in (
        "owner/name", "revision abc123", "vLLM 0.32.0 {cite:vllm}", "bfloat16", "top-k off",
        "4 x NVIDIA H100 (1 of 2), NVIDIA A100 (1 of 2)", "no system prompt", "60 results taken",
    ):  # fmt: skip
        assert fact in said
    unknown = paper_methods.of_model("m", [cell(revision=None, device=None, dtype=None)])
    assert "revision not known" in unknown
    assert "device not known" in unknown
    assert "dtype not known" in unknown
    assert "None" not in unknown


def test_a_model_behind_an_api_says_what_was_sent_and_what_is_not_known() -> None:
    model = {"model": "gpt-x", "max_tokens": 512, "top_p": None, "seed_scope": "prompt"}
    api = {
        "model": model,
        "temperature": 0.0,
        "temperature_sent": False,
        "seed": 42,
        "seeds": "absent",
        "engine": "openai 2.0",
        "endpoint": "https://example.org/v1",
        "answered_by": {"gpt-x-2026": 60},
        "system_fingerprints": {},
        "failed": {"timeout": 2},
        "count": 60,
    }
    said = paper_methods.of_model("m", [api])
    for fact in (
        "gpt-x at https://example.org/v1", "gpt-x-2026 (60)", "seeds absent", "no top-p was sent",
        "hardware and revision are not known", "2 requests failed", "no temperature was sent",
    ):  # fmt: skip
        assert fact in said
    (sampling,) = paper_methods.of_sampling({"m": [api]}, 60)
    # Nobody knows how the provider decodes, and no seed was sent.
    assert "greedily" not in sampling
    assert "independent" not in sampling


def test_a_person_labels_some_of_the_replies() -> None:
    human = {
        "judge": {"kind": "human", "labels": "ann.csv"},
        "labels_it_can_give": ["REFUSE", "PARTIAL", "COMPLY"],
        "labels_sha256": "a" * 64,
        "responses": 100,
        "count": 7,
        "invalid": {"UNKNOWN": 1},
    }
    said = paper_methods.of_judge("ann", [human, human])
    assert "a person, of 200 replies; labels ann.csv, SHA-256 aaaaaaaaaaaaaaaa...;" in said
    assert "14 verdicts, 2 without a valid label" in said


def test_a_judge_with_weights_says_how_it_decodes() -> None:
    judge = {"kind": "vllm", "weights": "owner/judge", "rubric": "a/r.txt", "answer": "constrained"}
    judge |= {"gpus": 1, "max_model_len": 4096}
    manifest = {"judge": judge, "labels_it_can_give": ["REFUSE", "COMPLY"], "count": 7}
    said = paper_methods.of_judge("j", [manifest])
    assert "rubric r.txt" in said
    assert "answers constrained to a label; decoded greedily; labels REFUSE, COMPLY" in said
    said = paper_methods.of_judge("j", [manifest | {"version": 2}])
    assert "answers constrained to a label; the most probable one; labels REFUSE" in said
    free = judge | {"answer": "free_text", "max_tokens": 64}
    said = paper_methods.of_judge("j", [manifest | {"version": 2, "judge": free}])
    assert "answers in free text; decoded greedily; labels REFUSE" in said


def test_the_limit_of_instability_is_no_other_one() -> None:
    said, _ = paper_methods.of_statistics(
        SETTINGS | {"unstable_below": 0.8, "thresholds": [0.8, 0.9]}
    )
    assert "below 0.8 (other limits: 0.9). Verdicts" in said
    said, _ = paper_methods.of_statistics(SETTINGS | {"unstable_below": 0.8, "thresholds": [0.8]})
    assert "below 0.8. Verdicts" in said


def test_shared_seeds_are_told() -> None:
    shared = cell()
    shared["model"] = shared["model"] | {"seed_scope": "cell"}
    (said,) = paper_methods.of_sampling({"m": [shared], "n": [cell()]}, 120)
    assert "share its seed for m: their draws are not independent" in said


def test_a_run_from_labels_invents_nothing(tmp_path: Path) -> None:
    manifest = {
        "files": [{"path": "/home/somebody/labels.csv", "sha256": "f" * 64, "rows": 7}],
        "count": 7,
        "prompts": 3,
        "models": {"m": ["M"]},
        "judges": {"j": ["J"]},
    }
    (tmp_path / "labels.json").write_text(json.dumps(manifest), encoding="utf-8")
    sections = write.methods(tmp_path, ["m"], ["j"], ([], []), SETTINGS)
    text = str(sections)
    assert "labels.csv (7 rows" in text
    # Where it lay is nobody's business.
    assert "somebody" not in text
    assert "not known here" in text
    assert "vllm" not in text.lower()
    write.write(tmp_path / "paper", sections, {"within_temperature": table(3)}, CITATIONS)
    bib = (tmp_path / "paper/citation.bib").read_text(encoding="utf-8")
    assert "{vllm" not in bib
    assert "{instability" in bib


def test_weights_and_datasets_of_the_hub_are_cited_with_their_commit(tmp_path: Path) -> None:
    prompts = {
        "settings": {"source": "dataset", "id": "some/set_1", "per_category": 3, "limit": 5},
        "count": 5,
        "duplicates_dropped": 0,
        "sha256": "0" * 64,
        "sources": {"some/set_1": 5},
        "dataset_commits": {"some/set_1": "some/set_1@fedcba9876543210"},
    }
    said = paper_methods.of_prompts(prompts)
    assert (
        "Of the source dataset: at most 3 sampled of each category (seed 0), of these the first 5."
        in said[0]
    )
    sections = [("Prompts", said, [paper_methods.of_model("m", [cell(revision="abc123")])])]
    write.write(tmp_path, sections, {}, CITATIONS)
    bib = (tmp_path / "citation.bib").read_text(encoding="utf-8")
    assert re.findall(r"^@misc\{(\w+),", bib, re.M) == [
        "datasets_some_set_1_fedcba98", "owner_name_abc123"
    ]  # fmt: skip
    assert "https://huggingface.co/datasets/some/set\\_1" in bib
    assert "note = {Revision fedcba9876543210}" in bib
    methods = (tmp_path / "methods.tex").read_text(encoding="utf-8")
    assert r"owner/name \cite{owner_name_abc123}; revision abc123" in methods
    assert "{hub:" not in methods + (tmp_path / "methods.md").read_text(encoding="utf-8")


def test_a_path_is_nobodys_business() -> None:
    model = cell()["model"] | {"weights": "/home/somebody/dpo/"}
    said = paper_methods.of_model("m", [cell(model=model, revision=None)])
    assert "weights of a local folder, dpo; revision not known" in said
    assert "somebody" not in said


def test_what_is_cited_has_its_entry() -> None:
    source = Path(paper_methods.__file__).read_text(encoding="utf-8")
    cited = {key for key in re.findall(r"\{cite:(\w+)\}", source) if key != "key"}
    entries = re.findall(r"^@\w+\{(\w+),", CITATIONS, re.MULTILINE)
    assert len(set(entries)) == len(entries)
    assert (cited | set(paper_methods._SOURCES)) == set(entries)


def test_a_damaged_manifest_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.json: not a readable manifest\. Hint"):
        read_manifest(tmp_path / "a.json")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="LaTeX is not installed")
def test_the_paper_compiles(tmp_path: Path) -> None:
    said = paper_methods.of_model("m_1", [cell()])
    sections = [("Data", ["50% of {cite:holm} is <x>."], [NASTY.strip(), said])]
    write.write(
        tmp_path,
        sections,
        # One that floats, and one that goes over pages.
        {"within_temperature": table(3), "experiment_boundary_calibration": CALIBRATION},
        CITATIONS,
    )
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = ["-halt-on-error", "-interaction=nonstopmode"] if program == "pdflatex" else []
        run = subprocess.run(
            [program, *options, "paper"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout[-2000:]
    assert "undefined" not in (tmp_path / "paper.log").read_text(encoding="latin-1")


def test_manifests_of_the_first_version_are_read() -> None:
    settings = {"source": "demo", "limit": 12}
    prompts = {"settings": settings, "count": 12, "duplicates_dropped": 0, "sha256": "ee7f"}
    said = paper_methods.of_prompts(prompts)[0]
    assert said.startswith("12 distinct prompts were asked: demo (12). Of the source demo: the")
    judge = {"weights": "w/judge", "gpus": 0, "max_model_len": 512, "rubric": "r/demo.txt"}
    said = paper_methods.of_judge("good", [{"judge": judge, "count": 24, "invalid": {}}])
    assert said.startswith("good (vllm): ")
    assert "answers constrained to a label; decoded greedily; labels REFUSE, PARTIAL" in said
