"""What a paper gets of a run: true sentences, and tables that GitHub and LaTeX read."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from refusal_stability import paper, paper_methods
from refusal_stability.errors import InputError
from refusal_stability.paper_facts import ranges, read_manifest, seen
from refusal_stability.paper_tables import escaped, for_people, latex, markdown, parts

CITATIONS = (Path(__file__).parents[2] / "resources/citations.bib").read_text(encoding="utf-8")
SETTINGS = {
    "unstable_below": 0.8,
    "max_invalid_share": 0.01,
    "bootstrap_resamples": 2000,
    "bootstrap_seed": 1,
}
# Every sign that means something to LaTeX or to Markdown.
NASTY = r"[a]&b%c$d#e_f{g}h~i^j\k|l<m>n'o\"p*q`r" + "é\u4e00\n"
TABLE = pl.DataFrame(
    {
        "judge": ["j", "j", "j"],
        "model": ["m_1", NASTY, "*m"],
        "temperature": [0.0, 0.7, 1.0],
        "n": [60, 1200, 0],
        "mean_ssi": [0.9456, 1.0, None],
        "mean_ssi_low": [0.9312, 0.98, None],
        "mean_ssi_high": [0.9602, 1.0, None],
        "p_holm": [0.0004, 0.5, None],
        "difference": [-0.0001, -0.25, None],
        "raised": [True, False, None],
        "ids": ["a b c", "", None],
    }
)
WIDE = TABLE.with_columns(TABLE["mean_ssi"].alias(f"{name}_of_prompts") for name in "abcdefghi")


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


def test_numbers_are_for_people() -> None:
    heads, rows, keys = for_people(TABLE)
    # The interval is in the column of its estimate, the ids are left out.
    assert heads == [
        "judge",
        "model",
        "temperature",
        "n",
        "mean ssi",
        "p holm",
        "difference",
        "raised",
    ]
    assert keys == 3
    assert rows[0][3:] == ["60", "0.946 [0.931, 0.960]", "<0.001", "0.000", "yes"]
    assert rows[1][2:] == ["0.7", "1200", "1.000 [0.980, 1.000]", "0.500", "-0.250", "no"]
    assert rows[2][4:] == ["\N{EN DASH}"] * 4


def test_a_wide_table_is_in_parts_that_fit_and_lose_nothing() -> None:
    heads, rows, keys = for_people(WIDE.with_columns(model=pl.lit("m")))
    every = parts(heads, rows, keys)
    assert len(every) > 1
    for head, body in every:
        assert head[:keys] == heads[:keys]
        assert max(len("  ".join(row)) for row in body) <= 108
    assert [name for head, _ in every for name in head[keys:]] == heads[keys:]


def test_a_table_of_markdown_has_its_cells_whatever_is_in_them() -> None:
    for block in markdown("models", WIDE).split("\n\n")[1:]:
        lines = block.strip().splitlines()
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(lines) == 2 + TABLE.height
        assert len(counts) == 1
        assert re.fullmatch(r"\|( -{3}:? \|)+", lines[1])


def check_latex(text: str) -> None:
    """As many cells as columns, booktabs' rules in their order, and no sign left to be read."""
    tables = re.findall(r"\\begin\{longtable\}\{([lr]+)\}(.*?)\\end\{longtable\}", text, re.DOTALL)
    assert tables
    for columns, content in tables:
        order = re.findall(r"\\(toprule|midrule|endhead|bottomrule|endfoot)", content)
        assert order == ["toprule", "midrule", "endhead", "bottomrule", "endfoot"]
        assert content.count("\\caption{") == 1
        rows = [line for line in content.splitlines() if line.endswith(r" \\")][1:]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
            assert not re.match(r"[\[*]", row)
            assert not re.search(r"(?<!\\)[%#_]|[<>|\"]", row)
            assert row.isascii() or "é" in row
    depth = len(re.findall(r"(?<!\\)\{", text)) - len(re.findall(r"(?<!\\)\}", text))
    assert depth == 0


def test_a_table_of_latex_is_well_formed_whatever_is_in_it() -> None:
    check_latex(latex("within_temperature", TABLE))
    text = latex("within_temperature", WIDE)
    check_latex(text)
    assert "(1 of " in text
    labels = re.findall(r"\\label\{(.+?)\}", text)
    assert len(set(labels)) == len(labels) > 1
    assert escaped("50% of a_b") == r"50\% of a\_b"


def test_a_table_without_rows_says_so() -> None:
    assert "nothing" in markdown("models", TABLE.clear())
    assert latex("models", TABLE.clear()).startswith("%")


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
    sections = paper.methods(tmp_path, ["m"], ["j"], SETTINGS)
    text = str(sections)
    assert "labels.csv (7 rows" in text
    # Where it lay is nobody's business.
    assert "somebody" not in text
    assert "not known here" in text
    assert "vllm" not in text.lower()
    paper.write(tmp_path / "paper", sections, {"models": TABLE}, CITATIONS)
    bib = (tmp_path / "paper/citation.bib").read_text(encoding="utf-8")
    assert "{vllm" not in bib
    assert "{instability" in bib


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
    sections = [("Data", ["50% of {cite:holm} is <x>."], [NASTY.strip()])]
    paper.write(tmp_path, sections, {"models": TABLE, "wide_table": WIDE}, CITATIONS)
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = ["-halt-on-error", "-interaction=nonstopmode"] if program == "pdflatex" else []
        run = subprocess.run(
            [program, *options, "paper"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout[-2000:]
    assert "undefined" not in (tmp_path / "paper.log").read_text(encoding="latin-1")
