from pathlib import Path

import pytest

from helpers.tiny_checkpoint import tiny_tokenizer
from refusal_stability.core.errors import InputError
from refusal_stability.engine.chat import chat_token_ids, with_one_bos
from refusal_stability.engine.determinism import mode_of
from refusal_stability.engine.vllm_engine import load_tokenizer, local_weights

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
    ("template", "text"),
    [
        # As Llama 3.2's writes it, and within a macro, as some others do.
        (
            "{%- if strftime_now is defined %}{% set date = strftime_now('%d %b %Y') %}{% endif %}"
            "Today Date: {{ date }}. {{ messages[0].content }}",
            "Today Date: 26 Jul 2024. Hello.",
        ),
        (
            "{% macro today() %}{{ strftime_now('%Y-%m-%d %H:%M') }}{% endmacro %}"
            "{{ today() }} {{ messages[0].content }}",
            "2024-07-26 00:00 Hello.",
        ),
    ],
)
def test_a_template_that_prints_todays_date_prints_the_same_one_every_day(
    template: str, text: str
) -> None:
    tokenizer = tiny_tokenizer(template)
    ids = chat_token_ids(tokenizer, [{"role": "user", "content": "Hello."}], thinking=False)
    assert tokenizer.decode(ids) == text
