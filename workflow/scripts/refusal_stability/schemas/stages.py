"""Every file that passes between stages: its columns, their types and what must hold.

Declared once here, checked by :mod:`schemas.storage` on reading and on writing.
"""

import dataframely as dy

from refusal_stability.core.labels import ERROR, LABELS, SCORINGS, VALID_LABELS

_SHA256 = r"^[0-9a-f]{64}$"
_PROMPT_ID = r"^[0-9a-f]{12}$"
POOLED = "pooled"


class Prompts(dy.Schema):
    """One row a prompt, in the order in which they are asked."""

    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    prompt = dy.String(min_length=1)
    source = dy.String()
    category = dy.String(nullable=True)


class PromptInfo(dy.Schema):
    """What is known of a prompt besides its text; a run that starts from labels has no more."""

    prompt_id = dy.String(primary_key=True, min_length=1)
    source = dy.String()
    category = dy.String(nullable=True)


class Responses(dy.Schema):
    """One row a prompt: the replies of one cell.

    A request that failed has the finish_reason "error", no text and no tokens; a prompt that was
    not asked because it leaves no room for a reply has "too_long".
    ``reasoning`` is null without reasoning, and empty where a provider does not show it.
    """

    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    temperature = dy.Float64(min=0)
    seed = dy.Int64()
    response = dy.String()
    reasoning = dy.String(nullable=True)
    finish_reason = dy.Enum(["stop", "length", "abort", "error", "content_filter", "too_long"])
    prompt_tokens = dy.Int64(min=1, nullable=True)
    response_tokens = dy.Int64(min=0, nullable=True)


class FirstTokens(dy.Schema):
    """How a model's replies may begin: a row a prompt, of more tokens also one a likely beginning.

    ``beginning`` is what of a reply stands before, token ids; none at place 0. ``tokens`` are the
    likeliest that follow, by falling probability, and ``logprobs`` their logarithms at temperature
    1, before any cut; ``rest`` is the probability of all others. ``texts`` are the beginnings of
    a reply that ends with the token.
    """

    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    place = dy.Int64(primary_key=True, min=0)
    beginning = dy.List(dy.Int64())
    tokens = dy.List(dy.Int64(), min_length=1)
    texts = dy.List(dy.String(), min_length=1)
    logprobs = dy.List(dy.Float64(), min_length=1)
    rest = dy.Float64(min=0, max=1)


class Passes(dy.Schema):
    """One row a prompt and pass of the experiment `determinism`: what its reply was like.

    ``same_tokens`` and ``same_characters`` count how far it goes along with the first pass's.
    """

    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    seed = dy.Int64(primary_key=True)
    response_sha256 = dy.String(regex=_SHA256)
    tokens = dy.Int64(min=0)
    same_tokens = dy.Int64(min=0)
    same_characters = dy.Int64(min=0)


class Verdicts(dy.Schema):
    """One row a response: what one judge says of one model's responses.

    Imported labels keep the ids that they came with, and may lack the hash of the response.
    """

    prompt_id = dy.String(primary_key=True, min_length=1)
    temperature = dy.Float64(primary_key=True, min=0)
    seed = dy.Int64(primary_key=True)
    label = dy.Enum(LABELS)
    reason = dy.String(nullable=True)
    p_refuse = dy.Float64(nullable=True, min=0, max=1)
    p_partial = dy.Float64(nullable=True, min=0, max=1)
    p_comply = dy.Float64(nullable=True, min=0, max=1)
    response_sha256 = dy.String(nullable=True, regex=_SHA256)


class Stability(dy.Schema):
    """One row a (model, scoring, scope, prompt): one judge's counts and their stability.

    ``scope`` is "pooled" or a temperature as text. ``n`` counts the valid labels. Measures of
    a prompt without a valid label are null; pair_disagreement needs two of them.
    """

    model = dy.String(primary_key=True)
    scoring = dy.Enum(list(SCORINGS), primary_key=True)
    scope = dy.String(primary_key=True)
    prompt_id = dy.String(primary_key=True, min_length=1)
    n = dy.Int64(min=0)
    n_refuse = dy.Int64(min=0)
    n_partial = dy.Int64(min=0)
    n_comply = dy.Int64(min=0)
    n_invalid = dy.Int64(min=0)
    ssi = dy.Float64(nullable=True, min=0, max=1)
    flip = dy.Bool(nullable=True)
    hard_flip = dy.Bool(nullable=True)
    pair_disagreement = dy.Float64(nullable=True, min=0, max=1)


class AgreementSample(dy.Schema):
    """One row a response of the sample of the experiment judge_agreement.

    ``stratum`` is what the run's first judge says of it.
    """

    model = dy.String(primary_key=True, min_length=1)
    prompt_id = dy.String(primary_key=True, min_length=1)
    temperature = dy.Float64(primary_key=True, min=0)
    seed = dy.Int64(primary_key=True)
    stratum = dy.Enum([*VALID_LABELS, "invalid"])
    response_sha256 = dy.String(nullable=True, regex=_SHA256)


class LabelingTask(dy.Schema):
    """One row a response of the same sample, for a person who labels it: text, and no label."""

    model = dy.String(primary_key=True, min_length=1)
    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    temperature = dy.Float64(primary_key=True, min=0)
    seed = dy.Int64(primary_key=True)
    prompt = dy.String(min_length=1)
    response = dy.String()
    response_sha256 = dy.String(regex=_SHA256)


class NoiseSample(dy.Schema):
    """One row a distinct (prompt, response) of a model that is judged again and again.

    ``role`` is what the text does to the flips of its prompt under the run's first judge, and
    ``weight`` how many texts of the run it stands for.
    """

    model = dy.String(primary_key=True, min_length=1)
    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    response_sha256 = dy.String(primary_key=True, regex=_SHA256)
    prompt = dy.String(min_length=1)
    response = dy.String()
    role = dy.Enum(["steady", "pair", "lone", "minority", "majority"])
    weight = dy.Float64(min=1)


class Rejudged(dy.Schema):
    """One row a label of a text under a condition, of as many as there are repeats."""

    judge = dy.String(primary_key=True, min_length=1)
    model = dy.String(primary_key=True, min_length=1)
    prompt_id = dy.String(primary_key=True, regex=_PROMPT_ID)
    response_sha256 = dy.String(primary_key=True, regex=_SHA256)
    condition = dy.Enum(["one_batch", "shuffled", "one_by_one", "sampled"], primary_key=True)
    repeat = dy.Int64(primary_key=True, min=0)
    label = dy.Enum(LABELS)
    reason = dy.String(nullable=True)
    p_refuse = dy.Float64(nullable=True, min=0, max=1)
    p_partial = dy.Float64(nullable=True, min=0, max=1)
    p_comply = dy.Float64(nullable=True, min=0, max=1)


class CachedReplies(dy.Schema):
    """One row a request to a model that was answered: what other runs may take from the cache.

    ``text`` has the tags of the reasoning; ``dtype`` is the one that the engine took.
    """

    key = dy.String(regex=_SHA256)
    request = dy.String(primary_key=True, regex=_SHA256)
    text = dy.String()
    finish_reason = dy.Enum(["stop", "length"])
    response_tokens = dy.Int64(min=0)
    dtype = dy.String(min_length=1)


class CachedVerdicts(dy.Schema):
    """One row a request to a judge that was answered: what other runs may take from the cache."""

    key = dy.String(regex=_SHA256)
    request = dy.String(primary_key=True, regex=_SHA256)
    label = dy.Enum([label for label in LABELS if label != ERROR])
    reason = dy.String(nullable=True)
    p_refuse = dy.Float64(nullable=True, min=0, max=1)
    p_partial = dy.Float64(nullable=True, min=0, max=1)
    p_comply = dy.Float64(nullable=True, min=0, max=1)
    dtype = dy.String(min_length=1)
