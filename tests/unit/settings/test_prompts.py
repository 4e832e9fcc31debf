"""The key `prompts`: what is refused before anything runs, and what stands behind it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal_stability.controller import check_prompts
from refusal_stability.controller.check_config import checked_config
from refusal_stability.core.errors import ConfigError, InputError
from refusal_stability.settings import prompts as prompt_settings

REPOSITORY = Path(__file__).parents[3]
SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"
OTHER_KEYS = """
run: study
models: [{name: tiny, weights: demo:tiny-llama}]
judges: [{name: good, weights: demo:judge-good, rubric: rubric.txt}]
temperatures: [0]
seeds: [1]
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rubric.txt").write_text("Label the reply.\n")
    (tmp_path / "mine.csv").write_text("prompt\nhello\n")
    for name in ("copy/data/a.csv", "copy/README.md", "copy/.git/HEAD", "owner/name/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("prompt\nhello\n")
    monkeypatch.chdir(tmp_path)


def check(prompts: str) -> dict[str, Any]:
    config = yaml.safe_load(OTHER_KEYS) | {"prompts": yaml.safe_load(prompts)}
    return checked_config(config, SCHEMA, "my.yaml", ["tiny-llama", "judge-good"])["prompts"]


ACCEPTED = [
    "{source: demo}",
    "{source: beavertails, limit: 876}",
    "{source: beavertails, revision: abc, per_category: 10, sample_seed: 3}",
    "{source: harmbench-contextual, path: copy}",
    "{source: dataset, id: some-owner/some.name}",
    "{source: dataset, id: a/b, config: c, split: d, prompt_column: p, category_column: k}",
    "{source: dataset, path: copy, split: test}",
    "{sources: [{source: demo}]}",
    "{sources: [{source: advbench, limit: 5}, {source: xstest}, {source: demo}], limit: 9}",
    "{sources: [{source: dataset, id: a/b}, {source: dataset, id: a/c}], expect: {count: 3}}",
    "{source: demo, expect: {count: 60}}",
    f"{{source: demo, expect: {{sha256: {'ab' * 32}, count: 60}}}}",
]


@pytest.mark.parametrize("prompts", ACCEPTED)
def test_what_is_accepted_stays_as_it_is(prompts: str) -> None:
    # A default that were filled in would change the settings, and run every job again.
    assert check(prompts) == yaml.safe_load(prompts)


REFUSED = [
    ("{}", ["prompts: the key 'source' is missing", "or sources, a list"]),
    ("{source: harmbnch}", ["prompts.source: 'harmbnch'", "did you mean 'harmbench'?"]),
    ("{source: advbench, pth: copy}", ["unknown key 'pth'", "did you mean 'path'?"]),
    ("{sources: []}", ["prompts.sources: the list is empty"]),
    ("{sources: advbench}", ["prompts.sources: 'advbench' is not a list"]),
    ("{sources: [advbench]}", ["prompts.sources[0]: 'advbench' is not a mapping"]),
    ("{sources: [{source: demo}, {source: demo}]}", ["prompts.sources:", "stands twice"]),
    ("{sources: [{source: jailbreak}]}", ["prompts.sources[0].source: 'jailbreak' is not one of"]),
    ("{sources: [{limit: 3}]}", ["prompts.sources[0]: the key 'source' is missing. Hint: give it"]),
    ("{sources: [{source: demo, sorce: a}]}", ["prompts.sources[0]: unknown key 'sorce'"]),
    ("{source: demo, sources: [{source: demo}]}", ["prompts.source: does not belong beside"]),
    ("{sources: [{source: demo}], per_category: 1}", ["prompts.per_category: does not belong"]),
    ("{sources: [{source: file}]}", ["prompts.sources[0]: the key 'path' is missing"]),
    (
        "{sources: [{source: demo}, {source: file, path: no.csv}]}",
        ["prompts.sources[1].path: no file no.csv"],
    ),
    ("{source: demo, id: a/b}", ["prompts.id: does not belong to source demo"]),
    ("{source: advbench, split: test}", ["prompts.split: does not belong to source advbench"]),
    ("{source: file, path: mine.csv, prompt_column: a}", ["prompts.prompt_column: does not"]),
    ("{source: dataset}", ["prompts: the key 'id' is missing", "or path, a local copy"]),
    ("{source: dataset, id: name}", ["prompts.id: 'name' is not an id", "owner/name"]),
    ("{source: dataset, id: ./a/b}", ["prompts.id: './a/b' is not an id"]),
    ("{source: dataset, id: owner/name}", ["prompts.id: owner/name is a folder", "as path"]),
    ("{source: dataset, id: a/b, path: copy}", ["prompts.id: only a dataset on the hub has it"]),
    ("{source: advbench, path: copy, revision: a}", ["prompts.revision: only a dataset on the"]),
    ("{source: advbench, path: none}", ["prompts.path: no folder none", "source: file"]),
    ("{source: dataset, path: mine.csv}", ["prompts.path: no folder mine.csv", "source: file"]),
    ("{source: advbench, path: '{a}'}", ["prompts.path: Snakemake reads { and }"]),
    ("{source: demo, sample_seed: 1}", ["prompts.sample_seed: nothing is sampled"]),
    ("{source: demo, per_category: 0}", ["prompts.per_category: 0 is out of range"]),
    ("{source: demo, per_category: 1, sample_seed: -1}", ["prompts.sample_seed: -1 is out of"]),
    ("{source: demo, revision: main}", ["prompts.revision: does not belong to source demo"]),
    ("{source: demo, expect: {}}", ["prompts.expect: it is empty", "count"]),
    ("{source: demo, expect: {count: 0}}", ["prompts.expect.count: 0 is out of range"]),
    ("{source: demo, limit: 2, expect: {count: 3}}", ["prompts.expect.count: 3 are more than"]),
    ("{source: demo, expect: {md5: a}}", ["prompts.expect: unknown key 'md5'"]),
    ("{source: demo, expect: {sha256: abc}}", ["prompts.expect.sha256: 'abc' is not 64"]),
    ("{source: demo, expect: {sha256: 12}}", ["prompts.expect.sha256: 12 is not text"]),
]


@pytest.mark.parametrize(("prompts", "fragments"), REFUSED)
def test_what_is_refused(prompts: str, fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(prompts)
    message = str(caught.value)
    assert message.startswith("my.yaml: prompts")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1
    assert all(fragment in message for fragment in fragments), message


def test_a_wrong_file_among_several_is_named_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("prompt\nhello\n\nthere\n")
    with pytest.raises(InputError, match=r"bad\.csv, line 3: the prompt is empty"):
        check("{sources: [{source: file, path: mine.csv}, {source: file, path: bad.csv}]}")


@pytest.mark.parametrize(
    ("prompts", "files"),
    [
        ("{source: demo}", ["resources/demo/corpus.yaml"]),
        ("{source: file, path: mine.csv}", ["mine.csv"]),
        ("{source: advbench}", []),
        ("{source: dataset, path: copy}", ["copy/README.md", "copy/data/a.csv"]),
        (
            "{sources: [{source: demo}, {source: file, path: mine.csv}, {source: xstest},"
            " {source: advbench, path: copy}, {source: file, path: mine.csv, limit: 2}]}",
            ["resources/demo/corpus.yaml", "mine.csv", "copy/README.md", "copy/data/a.csv"],
        ),
    ],
)
def test_files_behind_the_prompts(prompts: str, files: list[str]) -> None:
    assert prompt_settings.files_behind(check(prompts)) == files


def test_prompts_made_earlier_are_compared_with_the_expectation(tmp_path: Path) -> None:
    manifest = tmp_path / "prompts.json"
    prompts = {"source": "demo", "expect": {"count": 3}}
    check_prompts.check_made_prompts(prompts, manifest)  # not made yet
    made = {"settings": {"source": "demo"}, "count": 2, "sha256": "0" * 64}
    manifest.write_text(json.dumps(made))
    with pytest.raises(InputError, match=r"expect: count 3; but .*prompts\.json has count 2, sha"):
        check_prompts.check_made_prompts(prompts, manifest)
    check_prompts.check_made_prompts({"source": "demo"}, manifest)
    check_prompts.check_made_prompts(prompts | {"expect": {"count": 2}}, manifest)
    # With other settings they are made again, and their job looks at them.
    check_prompts.check_made_prompts(prompts | {"limit": 3}, manifest)
    # A file that holds no manifest is made again as well.
    manifest.write_text("{")
    check_prompts.check_made_prompts(prompts, manifest)
