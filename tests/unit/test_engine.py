import os
from pathlib import Path

import pytest

from refusal_stability.determinism import mode_of
from refusal_stability.engine import (
    load_tokenizer,
    local_weights,
    share_compiled_code,
    with_one_bos,
)
from refusal_stability.errors import InputError

BOS = 1


@pytest.mark.parametrize(
    ("ids", "bos", "wanted", "expected"),
    [
        pytest.param([1, 5, 6], BOS, True, [1, 5, 6], id="one is kept"),
        pytest.param([1, 1, 5], BOS, True, [1, 5], id="two become one"),
        pytest.param([1, 1, 1, 5], BOS, True, [1, 5], id="three become one"),
        pytest.param([5, 6], BOS, True, [1, 5, 6], id="a missing one is added"),
        pytest.param([5, 6], BOS, False, [5, 6], id="none is added unwanted"),
        pytest.param([1, 5], BOS, False, [1, 5], id="the template's own is kept"),
        pytest.param([1, 1, 5], BOS, False, [1, 5], id="two become one, unwanted"),
        pytest.param([1, 5, 1, 1], BOS, True, [1, 5, 1, 1], id="later ones are left"),
        pytest.param([5, 5], None, False, [5, 5], id="no BOS in the vocabulary"),
        pytest.param([5, 5], None, True, [5, 5], id="no BOS to add"),
        pytest.param([], BOS, True, [1], id="nothing"),
        pytest.param([], BOS, False, [], id="nothing, unwanted"),
        pytest.param([1], BOS, True, [1], id="alone"),
        pytest.param([0, 0, 5], 0, True, [0, 5], id="the id 0 is a BOS like others"),
        pytest.param([5], 0, True, [0, 5], id="the id 0 is added"),
    ],
)
def test_with_one_bos(ids: list[int], bos: int | None, wanted: bool, expected: list[int]) -> None:
    before = list(ids)
    assert with_one_bos(ids, bos, wanted) == expected
    assert ids == before


def test_weights_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert local_weights({"name": "m", "weights": str(tmp_path)}) == tmp_path


def test_a_folder_without_weights_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^m: no model folder .*\. Hint: check `weights`$"):
        local_weights({"name": "m", "weights": str(tmp_path)})


@pytest.mark.parametrize(("revision", "shown"), [({}, "main"), ({"revision": "abc"}, "abc")])
def test_weights_that_were_not_fetched_are_one_line(revision: dict[str, str], shown: str) -> None:
    with pytest.raises(InputError) as caught:
        local_weights({"name": "m", "weights": "nobody/nothing", **revision})
    message = str(caught.value)
    assert message.startswith(f"m: the weights nobody/nothing, revision {shown}, are not whole in ")
    assert "Hint: run `snakemake all_weights --forcerun fetch_weights`" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "mode"), [("1", "batch_invariant"), ("0", "default"), (None, "default")]
)
def test_determinism_mode(monkeypatch: pytest.MonkeyPatch, value: str | None, mode: str) -> None:
    if value is None:
        monkeypatch.delenv("VLLM_BATCH_INVARIANT", raising=False)
    else:
        monkeypatch.setenv("VLLM_BATCH_INVARIANT", value)
    assert mode_of({}) == mode


def test_a_tokenizer_without_a_chat_template_is_one_line(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match=r"^m: its tokenizer has no chat template\. Hint: use the"):
        load_tokenizer({"name": "m"}, tmp_path)
    assert load_tokenizer({"name": "m"}, tmp_path, chat=False).chat_template is None


@pytest.mark.parametrize(
    ("job", "own", "shared"),
    [
        pytest.param(None, None, False, id="jobs of one machine share the user's home"),
        pytest.param("7", None, True, id="nodes of a cluster may not"),
        pytest.param("7", "/scratch/vllm", False, id="the user's own folder is left"),
    ],
)
def test_where_compiled_code_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, job: str | None, own: str | None, shared: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("SLURM_JOB_ID", job), ("VLLM_CACHE_ROOT", own)):
        # Set before it is deleted, so that it is as before after the test.
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    share_compiled_code()
    folder = os.environ.get("VLLM_CACHE_ROOT")
    if shared:
        # A folder for each kind of processor.
        assert Path(folder).parent == tmp_path / "results/cache/vllm"
    else:
        assert folder == own
