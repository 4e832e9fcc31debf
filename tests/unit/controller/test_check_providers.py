"""Providers are asked for their models before the first job: real SDKs, a stub for the faults."""

import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.api_judges import KEY, KINDS, api_judge
from helpers.stub_provider import Reply, Stub, stub_provider
from refusal_stability.controller.check_providers import check_providers
from refusal_stability.core.errors import ProviderError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def entry(kind: str, stub: Stub, **settings: Any) -> dict[str, Any]:
    return api_judge(
        kind, stub.url, **{"model": "m-1", "timeout": 600, "max_retries": 5} | settings
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_there_costs_nothing_and_is_asked_for_once(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub_provider(lambda *_: Reply(), models=["m-1", "m-2"]) as stub:
        first = entry(kind, stub)
        check_providers([first, first | {"name": "again"}, first | {"model": "m-2"}])
    assert stub.requests == []
    assert stub.looked_up == ["/v1/models/m-1", "/v1/models/m-2"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "invalid_api_key", "the key is not accepted; it may be wrong or expired (HTTP 401"),
        (403, "permission_error", "the key may not use this model (HTTP 403"),
        (404, "model_not_found", "there is no such model or endpoint; it may have been retired"),
    ],
)
def test_a_refused_key_and_an_unknown_model_are_one_line(
    kind: str, status: int, code: str, says: str
) -> None:
    reply = Reply(status=status, code=code, message=f"wrong key {KEY}")
    with (
        stub_provider(lambda *_: reply, models=["another"]) as stub,
        pytest.raises(ProviderError) as caught,
    ):
        check_providers([entry(kind, stub)])
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"api: {stub.url}")
    assert "Hint: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_tells_of_models_one_token_is_asked_for(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub_provider(lambda *_: Reply("Hello", ending="length")) as stub:
        check_providers([entry(kind, stub)])
    assert stub.messages() == ["Say hello."]
    assert stub.requests[0]["max_tokens"] == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_asked_from_here_is_a_warning(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = Reply(status=500, headers={"retry-after-ms": "1"})
    with stub_provider(lambda *_: faulty) as stub:
        check_providers([entry(kind, stub)])
    error = capsys.readouterr().err
    assert error.startswith(f"warning: api: from here, {stub.url}")
    assert "cannot be asked for m-1 (HTTP 500" in error
    # Nobody listens there any more.
    check_providers([entry(kind, stub)])
    assert "(no connection to http://127" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_sdk_nothing_is_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an import finds where a package is missing.
    monkeypatch.setitem(sys.modules, kind, None)
    with stub_provider(lambda *_: Reply()) as stub:
        check_providers([entry(kind, stub)])
    assert (stub.requests, stub.looked_up) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "broken", ["import gone_library", "from os import gone_name", "raise RuntimeError('x')", "x ="]
)
def test_an_sdk_that_is_broken_here_is_a_warning(
    kind: str,
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # As on a login node, whose SDK is not that of the jobs.
    (tmp_path / f"{kind}.py").write_text(f"{broken}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, name)
    with stub_provider(lambda *_: Reply()) as stub:
        check_providers([entry(kind, stub)])
    assert stub.requests == stub.looked_up == []
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: api: the {kind} SDK cannot be used here (")
    assert warning.count("\n") == 1
