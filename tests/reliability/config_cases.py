"""Configurations to try: made from the schema, then spoilt; as the bytes of a YAML file.

The files that they name are made by :func:`make_files`.
"""

import copy
import datetime
import json
import math
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

# The environment variable that holds a key of theirs.
KEY_VARIABLE = "FUZZ_API_KEY"
_FOLDER = "fuzz"
_WORDS = {
    "run": ["fuzz-run"],
    "name": ["a", "B-2", "qwen2.5_7b", "0"],
    "weights": ["demo:tiny-llama", "demo:judge-good", "owner/name", f"./{_FOLDER}/checkpoint"],
    "rubric": ["resources/rubrics/three_way.txt"],
    "phrases": ["resources/phrases/gcg.txt"],
    "classifier": ["resources/classifiers/wildguard.yaml"],
    "labels": [f"{_FOLDER}/human.csv"],
    "base_url": ["http://localhost:1/v1", "https://example.org"],
    "api_key_env": [KEY_VARIABLE],
    "model": ["gpt-4o-mini-2024-07-18", "my-model"],
    "revision": ["main"],
    "cache": ["results/cache", "my/cache"],
    "published_figures": ["resources/published_figures.yaml"],
    "prompt_info": [f"{_FOLDER}/info.csv"],
}
_PROMPTS: list[dict[str, Any]] = [
    {"source": "demo"},
    {"source": "demo", "limit": 3, "per_category": 2, "sample_seed": 1},
    {"source": "file", "path": f"{_FOLDER}/prompts.csv"},
    {"source": "harmbench"},
    {"source": "dataset", "id": "owner/name", "config": "c", "split": "test"},
    {"sources": [{"source": "demo"}, {"source": "advbench", "limit": 5}], "limit": 4},
    {"source": "demo", "expect": {"count": 60, "sha256": "0" * 64}},
]
_LABELS: dict[str, Any] = {
    "run": "fuzz-run",
    "labels": [f"{_FOLDER}/labels.csv"],
    "model_aliases": {"a": ["x/a"]},
    "prompt_info": f"{_FOLDER}/info.csv",
}
_ODD_TEXTS = [
    *("", " ", "\n", "a\nerror: b", "a\rb", "\x00", "a\x00b", "\x1b[31mred", "\x85", "\u2028"),
    *("\u202eabc", "e\u0301", "\uff21", "\u0661", "\U0001f600", "\ufeffa", "null", "~", "yes"),
    *(".", "..", "../../escape", "/etc/passwd", "/", "~nobody-here/x", "~", "a/../../b", "-rf"),
    *("--help", "all", "ALL", "{a}", "}{", "{{}}", "%s%n", "$(id)", "`id`", "; true", "'\"'"),
    *("*", "a b", "con", "x" * 101, "x" * 5000, "http://[::1", "http://u:p@h/", "http://h:99999/"),
    *("https://", "ftp://h", "h?key=1", "1e-1", "0x10", "nan", "owner/na me", "a/b/c", "demo:"),
    *(
        "demo:../x",
        "gpt-3.5-turbo-0613",
        "results/fuzz-run",
        "fuzz/prompts.csv",
        "fuzz",
        "none.csv",
    ),
    *("none.parquet", "none.xlsx", "1:30", "=", "<<", "!!str a", "&a", "*a", "# a", "a: b", "- a"),
]
_ODD_VALUES = [
    *(None, True, False, 0, 1, -1, 10**30, 2**63, 2**32, 0.005, 1e-320, 1e308, 0.1 + 0.2, 42.0),
    *(math.nan, math.inf, -math.inf, [], {}, [[]], [{}], {"a": {"b": []}}, [None], {"": ""}),
    *({1: 2}, {None: 1}, {True: 1}, {1.5: 1}, {(1, 2): 3}, datetime.date(2026, 1, 1), b"\xff"),
    *({"name": "a"}, list(range(150)), ["a", "a"], [0.3, 0.3], [1, 1.0, True], {"path": ".."}),
]
_YAML_TEXTS = [
    *("", "\n", "# nothing\n", "~\n", "text\n", "42\n", "[run, a]\n", "---\n", "...\n", "\t\n"),
    *("run: a\n---\nrun: b\n", "run: [a\n", "run: 'a\n", 'run: "\\x"\n', "run: a\n b: c\n"),
    *("run: a\nrun: b\n", "run: &a [*a]\n", "&a {run: *a}\n", "run: *a\n", "<<: a\nrun: b\n"),
    *(
        "run: !!python/object/apply:os.system [id]\n",
        "run: !!python/name:os.system\n",
        "run: !x y\n",
    ),
    *(
        "!!set {run, a}\n",
        "run: !!binary _\n",
        "? [a]\n: b\n",
        "? {a: b}\n: c\n",
        "run: 2026-13-45\n",
    ),
    *(
        "%YAML 9.9\n---\nrun: a\n",
        "%TAG ! tag:x\n",
        "run: |\n a\n",
        "run:\n\t- a\n",
        "@a\n",
        "`a`\n",
    ),
    *("{" * 2000, "[" * 2000, "a: " * 500, "run: 1:30\n", "run: 010\n", "run: yes\n", "run: =\n"),
    *(
        '{"run": "a"}',
        "{'run': NaN}",
        "run: !!float x\n",
        "run: !!timestamp x\n",
        "run: !!int ''\n",
    ),
]
_LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30)
)


def make_files(folder: Path) -> None:
    """Make the files that valid configurations name, in the folder in which Snakemake runs."""
    files = folder / _FOLDER
    (files / "checkpoint").mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (files / "checkpoint/config.json").write_text(json.dumps(config))
    (files / "checkpoint/tokenizer_config.json").write_text('{"chat_template": "x"}')
    (files / "prompts.csv").write_text("prompt,category\nWhy?,a\nHow?,b\n")
    (files / "human.csv").write_text("model,prompt_id,temperature,seed,label\n")
    rows = [f"x/a,{n},{t},{s},REFUSE,j\n" for n in "pq" for t in (0, 1) for s in (1, 2)]
    (files / "labels.csv").write_text(
        "model,prompt_id,temperature,seed,label,judge\n" + "".join(rows)
    )
    (files / "info.csv").write_text("prompt_id,source,category\np,s,c\nq,s,\n")


def config_files(schema: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return a strategy for the bytes of a configuration file, valid or not."""
    configs = st.one_of(_runs(schema), st.builds(copy.deepcopy, st.just(_LABELS)))
    spoilt = st.sampled_from([0, 0, 1, 1, 2, 3]).flatmap(lambda count: _mutated(configs, count))
    written = spoilt.map(lambda config: yaml.dump(config, allow_unicode=True).encode())
    return st.one_of(
        *[written] * 8,
        st.tuples(written, st.sampled_from([_text_mutation, _byte_mutation]), st.randoms()).map(
            lambda parts: parts[1](parts[0], parts[2])
        ),
        st.sampled_from([*_YAML_TEXTS, _LAUGHS]).map(str.encode),
    )


def _runs(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Configurations that keep the schema, of runs that ask models."""
    keys = schema["properties"]
    lists = {"temperatures": [0, 0.3, 1.0], "seeds": [1, 2, 3]}

    @st.composite
    def run(draw: st.DrawFn) -> dict[str, Any]:
        config = {"run": "fuzz-run", "prompts": copy.deepcopy(draw(st.sampled_from(_PROMPTS)))}
        for key in ("models", "judges"):
            entries = st.lists(
                _valid(keys[key]["items"], schema, ""),
                min_size=1,
                max_size=2,
                unique_by=lambda entry: entry["name"].lower(),
            )
            config[key] = draw(entries)
        for key, values in lists.items():
            config[key] = draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
        for key in ("statistics", "experiments", "engine", "prices", "cache", "published_figures"):
            if draw(st.integers(0, 3)) == 0:
                config[key] = draw(_valid(keys[key], schema, key))
        return config

    return run()


def _valid(schema: dict[str, Any], root: dict[str, Any], key: str) -> st.SearchStrategy[Any]:
    """Values that keep a schema of ours; texts are those that make sense under ``key``."""
    schema = _resolved(schema, root)
    if "additionalProperties" not in schema and "allOf" in schema:
        return st.sampled_from(list(_branches(schema, root))).flatmap(
            lambda branch: _mapping(*branch, root)
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_type(kind, schema, root, key) for kind in kinds])


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        own = {name: value for name, value in schema.items() if name != "$ref"}
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | own
    return schema


def _branches(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """(kind, schema of a model or judge of that kind)."""
    for part in schema["allOf"]:
        wanted = part["if"]["properties"]["kind"]
        then = _resolved(part["then"], root)
        if "properties" in then:
            for kind in wanted.get("enum", [wanted.get("const")]):
                yield kind, then


def _mapping(kind: str, schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    entries = _of_type("object", schema, root, "")
    return st.tuples(entries, st.sampled_from(_WORDS["name"])).map(
        lambda parts: _sensible({**parts[0], "name": parts[1], "kind": kind})
    )


def _sensible(entry: dict[str, Any]) -> dict[str, Any]:
    """A model or judge without what its other settings forbid, which no schema knows."""
    unwanted = []
    if entry.get("weights") != "owner/name":
        unwanted.append("revision")
    if entry.get("max_model_len", 4096) < 1024:
        unwanted.append("max_model_len")
    if entry.get("answer") != "free_text" and "rubric" in entry and "weights" in entry:
        unwanted.append("max_tokens")
    if entry["kind"] in ("openai", "anthropic"):
        entry["api_key_env"] = KEY_VARIABLE
    return {key: value for key, value in entry.items() if key not in unwanted}


def _of_type(
    kind: str, schema: dict[str, Any], root: dict[str, Any], key: str
) -> st.SearchStrategy[Any]:
    match kind:
        case "object":
            properties = schema.get("properties", {})
            wanted = schema.get("required", [])
            values = {name: _valid(value, root, name) for name, value in properties.items()}
            return st.fixed_dictionaries(
                {name: values[name] for name in wanted},
                optional={name: value for name, value in values.items() if name not in wanted},
            )
        case "array":
            size = {"min_size": schema.get("minItems", 0), "max_size": schema.get("maxItems", 3)}
            return st.lists(_valid(schema["items"], root, key), **size, unique_by=repr)
        case "integer":
            low = schema.get("minimum", 0)
            return st.integers(low, min(schema.get("maximum", low + 300), low + 300))
        case "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            return st.floats(low + 0.02, schema.get("maximum", low + 2) - 0.02).map(
                lambda value: round(value, 2)
            )
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return st.sampled_from(_WORDS.get(key, ["text", "word", "name"]))


@st.composite
def _mutated(draw: st.DrawFn, configs: st.SearchStrategy[dict[str, Any]], count: int) -> Any:
    """A configuration in which up to ``count`` places hold something else."""
    config = draw(configs)
    for _ in range(count):
        places = list(_places(config))
        if not places:
            break
        parent, key = draw(st.sampled_from(places))
        odd = st.one_of(st.sampled_from(_ODD_TEXTS), st.sampled_from(_ODD_VALUES), st.text())
        match draw(st.integers(0, 6)):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                name = draw(st.one_of(st.sampled_from(_ODD_TEXTS), st.sampled_from(["model", "x"])))
                parent[name] = copy.deepcopy(parent[key])
            case 2 if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
            case 3:
                parent[key] = str(parent[key])
            case 4:
                parent[key] = [parent[key]]
            case _:
                parent[key] = copy.deepcopy(draw(odd))
    return config


def _places(value: Any) -> Any:
    """(container, key) of everything that a value holds."""
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in list(inner):
        yield value, key
        yield from _places(item)


def _text_mutation(text: bytes, random: Any) -> bytes:
    """The file with something that YAML reads in its own way, at the end of a line."""
    lines = text.decode().split("\n")
    odd = [
        "\t",
        "  ",
        ":",
        " #",
        " - a",
        "\r",
        " &a",
        " *a",
        "'",
        '"',
        " {",
        " ]",
        "\x07",
        "\ufeff",
    ]
    lines[random.randrange(len(lines))] += random.choice(odd)
    if random.random() < 0.3:
        lines.insert(random.randrange(len(lines)), random.choice(lines))
    return "\n".join(lines).encode()


def _byte_mutation(text: bytes, random: Any) -> bytes:
    """The file in another encoding, cut off, or with a byte that is none of its own."""
    at = random.randrange(len(text) + 1)
    spoilt = [
        text[:at],
        text[:at] + random.choice([b"\x00", b"\xff", b"\xc3", b"\x80", b"\x0b"]) + text[at:],
        text.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + text,
        text.replace(b"\n", b"\r\n"),
    ]
    return random.choice(spoilt)
