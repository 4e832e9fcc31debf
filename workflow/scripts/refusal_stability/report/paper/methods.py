"""The methods of a run in words, of its manifests; what they do not say is said to be unknown."""

from typing import Any

from refusal_stability.report.paper.manifests import Manifest, digest, ranges, seen, summed
from refusal_stability.settings.judges import FILE_KEYS, labels_of, with_defaults

# Named sources of prompts, and the papers that they are of.
_SOURCES = ("beavertails", "advbench", "harmbench", "jailbreakbench", "xstest", "strongreject")


def of_prompts(manifest: Manifest) -> list[str]:
    """Return what is to be said of the prompts that a run asked."""
    settings = manifest["settings"]
    # The oldest manifests are of one source, which only their settings name.
    counts = manifest.get("sources") or {settings["source"]: manifest["count"]}
    sources = ", ".join(f"{name}{_cited_source(name)} ({count})" for name, count in counts.items())
    said = f"{manifest['count']} distinct prompts were asked: {sources}."
    if manifest["duplicates_dropped"]:
        said += f" {manifest['duplicates_dropped']} duplicates were dropped."
    said += _chosen(settings)
    datasets = manifest.get("dataset_commits", {}).values()
    commits = [f"{name} {{hub:datasets/{name}}}" for name in datasets]
    if commits:
        said += f" Their datasets on the Hugging Face hub are {', '.join(commits)}."
    return [said + f" The SHA-256 over their ids, in their order, is {manifest['sha256']}."]


def _chosen(settings: dict[str, Any]) -> str:
    """Say which of the prompts of each source were taken, where not all were."""
    said = ""
    for entry in settings.get("sources", [settings]):
        kept = []
        if "per_category" in entry:
            seed = entry.get("sample_seed", 0)
            kept.append(f"at most {entry['per_category']} sampled of each category (seed {seed})")
        if "limit" in entry:
            kept.append(f"the first {entry['limit']}")
        if kept:
            said += f" Of the source {entry['source']}: {', of these '.join(kept)}."
    if "sources" in settings and "limit" in settings:
        said += f" Of all of them, the first {settings['limit']}."
    return said


def of_sampling(models: dict[str, list[Manifest]], replies: int) -> list[str]:
    """Return what is to be said of temperatures and seeds; ``models`` has the cells' manifests."""
    cells = [cell for manifests in models.values() for cell in manifests]
    temperatures = sorted({cell["temperature"] for cell in cells})
    shown = ", ".join(f"{value:g}" for value in temperatures)
    said = (
        f"{f'Each of {len(models)} models' if len(models) > 1 else 'One model'} replied "
        f"to each prompt at temperature {shown} with seed "
        f"{ranges(sorted({cell['seed'] for cell in cells}))}: {replies} replies in {len(cells)} "
        "cells."
    )
    if 0 in temperatures and any("weights" in cell["model"] for cell in cells):
        said += " At temperature 0, the engine decodes greedily."
    # Where none was sent, there is nothing to say of it.
    scopes = {cell["model"]["seed_scope"] for cell in cells if cell.get("seeds") != "absent"}
    if "prompt" in scopes:
        said += (
            " The sampling seed of a request is derived from seed and prompt, so that the draws of "
            "prompts are independent, and not from the temperature."
        )
    if "cell" in scopes:
        of = [name for name, of in models.items() if of[0]["model"]["seed_scope"] == "cell"]
        said += (
            f" All prompts of a cell share its seed for {', '.join(of)}: their draws are not "
            "independent."
        )
    return [said]


def of_model(name: str, cells: list[Manifest]) -> str:
    """Return what is to be said of one model, of the manifests of its cells."""
    model = cells[0]["model"]
    facts = []
    if "weights" in model:
        facts += _weights(model, cells)
        facts.append(f"one engine a {seen(cells, 'sharing') or 'cell'}")
        facts.append(f"top-k {model['top_k'] or 'off'}")
    else:
        facts += _api(model, cells)
        facts.append(f"seeds {seen(cells, 'seeds')}")
        if not all(cell.get("temperature_sent", True) for cell in cells):
            facts.append("no temperature was sent, as it takes none")
        facts.append(f"system fingerprints {_counted(summed(cells, 'system_fingerprints'))}")
        failed = sum(summed(cells, "failed").values())
        facts.append(f"{failed} requests failed after all retries")
    top_p = model["top_p"]
    facts.append("no top-p was sent" if top_p is None else f"top-p {top_p:g}")
    facts.append(f"at most {model['max_tokens']} tokens a reply")
    facts.append("with a system prompt" if "system_prompt" in model else "no system prompt")
    facts.append("thinking on" if model.get("thinking") else "thinking not asked for")
    return f"{name}: {'; '.join(facts)}."


def of_judge(name: str, manifests: list[Manifest]) -> str:
    """Return what is to be said of one judge, of the manifests of its verdicts on each model."""
    judge = with_defaults(manifests[0]["judge"])
    kind = judge["kind"]
    facts = []
    if "weights" in judge:
        facts += _weights(judge, manifests)
    elif "model" in judge:
        temperature = judge.get("temperature")
        facts += _api(judge, manifests)
        facts.append(
            "no temperature sent" if temperature is None else f"temperature {temperature:g}"
        )
    elif kind == "string_match":
        facts.append("phrases of refusal, without a model")
    elif kind == "human":
        facts.append(f"a person, of {sum(m['responses'] for m in manifests)} replies")
    key = FILE_KEYS[kind]
    # Where it lay is nobody's business.
    file = judge[key].rsplit("/", 1)[-1]
    facts.append(f"{key} {file}, SHA-256 {digest(manifests, f'{key}_sha256')}...")
    constrained = judge.get("answer") == "constrained"
    if "answer" in judge:
        facts.append("answers constrained to a label" if constrained else "answers in free text")
    if kind == "vllm" and constrained and manifests[0].get("version", 1) > 1:
        facts.append("the most probable one")
    elif kind == "vllm":
        facts.append("decoded greedily")
    labels = manifests[0].get("labels_it_can_give", labels_of(judge))
    facts.append(f"labels {', '.join(labels)}")
    count = sum(manifest["count"] for manifest in manifests)
    invalid = sum(summed(manifests, "invalid").values())
    distinct = sum(manifest.get("distinct_pairs", 0) for manifest in manifests)
    facts.append(
        f"{count} verdicts"
        + f", of {distinct} distinct pairs of prompt and reply" * bool(distinct)
        + f", {invalid} without a valid label"
    )
    return f"{name} ({kind}): {'; '.join(facts)}."


def of_labels(manifest: Manifest) -> list[str]:
    """Return what is to be said of a run that starts from labels."""
    files = ", ".join(
        f"{file['path'].rsplit('/', 1)[-1]} ({file['rows']} rows, SHA-256 {file['sha256'][:16]}...)"
        for file in manifest["files"]
    )
    return [
        f"{manifest['count']} labels of {manifest['prompts']} prompts were taken from files: "
        f"{files}. They are of the models {', '.join(manifest['models'])}, by the judges "
        f"{', '.join(manifest['judges'])}.",
        "How the replies were generated and judged is not in these files and not known here: "
        "revisions, engine, hardware, sampling beyond temperature and seed, system prompt and "
        "rubric have to be taken from their source.",
    ]


def of_statistics(settings: dict[str, Any]) -> list[str]:
    """Return what is to be said of the statistics, of `statistics` in the configuration."""
    below = settings["unstable_below"]
    others = ", ".join(f"{limit:g}" for limit in settings["thresholds"] if limit != below)
    others = f" (other limits: {others})" if others else ""
    return [
        "The Safety Stability Index (SSI) of a prompt is the largest share of one label among its "
        "valid labels {cite:instability}; a prompt flips if it has more than one, and is unstable "
        f"if its SSI is below {below:g}{others}. Verdicts "
        "without a valid label enter no measure; with more than "
        f"{settings['max_invalid_share']:.1%} of them there are no tables.",
        "Prompts are the units. Intervals are 95% percentile intervals of a bootstrap over prompts "
        f"{{cite:bootstrap}} ({settings['bootstrap_resamples']} resamples, seed "
        f"{settings['bootstrap_seed']}), and Wilson's {{cite:wilson}} for shares of prompts, with "
        "the variance of their values where they are means over models. Tests compare the same "
        "prompts, with exact p values where few of them differ; families of tests are corrected by "
        "Holm's method "
        "{cite:holm}. All tables were computed with refusal-stability {cite:refusalstability}, by "
        "Snakemake {cite:snakemake}.",
    ]


def _weights(entry: dict[str, Any], manifests: list[Manifest]) -> list[str]:
    revision = seen(manifests, "revision")
    if "vllm" in (seen(manifests, "engine") or ""):
        engine = f"vLLM {seen(manifests, 'engine_version')} {{cite:vllm}}"
    else:
        engine = f"engine {seen(manifests, 'engine') or 'not known'}"
    gpus, nodes = entry["gpus"], entry.get("nodes", 1)
    device = seen(manifests, "device") or "device not known"
    template = digest(manifests, "chat_template_sha256")
    return [
        # Weights of the hub have the commit that was fetched; others are in some folder.
        f"weights {entry['weights']} {{hub:{entry['weights']}@{revision}}}"
        if revision
        else f"weights of a local folder, {entry['weights'].rstrip('/').rsplit('/', 1)[-1]}",
        f"revision {revision}" if revision else "revision not known",
        engine,
        f"PyTorch {seen(manifests, 'torch_version') or 'not known'}",
        f"transformers {seen(manifests, 'transformers_version') or 'not known'}",
        f"{gpus * nodes} x {device}" if gpus else f"on {device}",
        f"{seen(manifests, 'dtype') or 'dtype not known'}",
        f"determinism {seen(manifests, 'determinism') or 'not known'}",
        f"at most {entry['max_model_len']} tokens in all",
        f"chat template, SHA-256 {template}..." if template else "no chat template",
        *_cached(manifests),
    ]


def _cached(manifests: list[Manifest]) -> list[str]:
    """Say what an earlier run computed with the same settings, engine and hardware."""
    taken = sum(manifest.get("from_cache", 0) for manifest in manifests)
    return [f"{taken} results taken from the cache of runs"] if taken else []


def _api(entry: dict[str, Any], manifests: list[Manifest]) -> list[str]:
    return [
        f"{entry['model']} at {seen(manifests, 'endpoint') or 'an endpoint not known'}, by "
        f"{seen(manifests, 'engine') or 'a client not known'}",
        f"answered by {_counted(summed(manifests, 'answered_by'))}",
        "its hardware and revision are not known",
    ]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none was named"


def _cited_source(name: str) -> str:
    key = name.partition("-")[0]
    return f" {{cite:{key}}}" if key in _SOURCES else ""
