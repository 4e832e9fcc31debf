"""The kinds of columns that tables have: keys, counts, estimates with their intervals."""

import dataframely as dy


def name() -> dy.Column:
    """A key that is a name."""
    return dy.String(primary_key=True, min_length=1)


def choice(*values: str) -> dy.Column:
    """A key that is one of these."""
    return dy.Enum(list(values), primary_key=True)


def temperature() -> dy.Column:
    """A key that is a temperature."""
    return dy.Float64(primary_key=True, min=0)


def share() -> dy.Column:
    """A share, if it is known."""
    return dy.Float64(nullable=True, min=0, max=1)


def signed() -> dy.Column:
    """A difference of two shares, if it is known."""
    return dy.Float64(nullable=True, min=-1, max=1)


def at_most_one() -> dy.Column:
    """Agreement or correlation, if it is known."""
    return dy.Float64(nullable=True, max=1)


def positive() -> dy.Column:
    """What is never negative, if it is known."""
    return dy.Float64(nullable=True, min=0)


def real() -> dy.Column:
    """Any number, if it is known."""
    return dy.Float64(nullable=True)


def counts(*names: str) -> dict[str, dy.Column]:
    """Numbers of things."""
    return {name: dy.Int64(min=0) for name in names}


def estimates(make: type, *names: str) -> dict[str, dy.Column]:
    """Estimates with both ends of their intervals; ``make`` makes a column."""
    return {f"{name}{end}": make() for name in names for end in ("", "_low", "_high")}


def table(**columns: dy.Column) -> type[dy.Schema]:
    """A contract of these columns."""
    return type(dy.Schema)("Table", (dy.Schema,), columns)


SUMMARY = counts("n_prompts", "n_responses", "n_invalid", "n_missing") | estimates(
    share,
    "mean_ssi",
    "flip_rate",
    "hard_flip_rate",
    "unstable_rate",
    "refusal_rate",
    "partial_rate",
    "comply_rate",
    "pair_disagreement",
)


def model() -> dict[str, dy.Column]:
    """The keys of a judge and a model."""
    return {"judge": name(), "model": name()}


def judges() -> dict[str, dy.Column]:
    """The keys of two judges and a model."""
    return {"judge_a": name(), "judge_b": name(), "model": name()}


def set_names(tables: dict[str, type[dy.Schema]]) -> None:
    """Give contracts their names, which messages say. A table and an experiment may share one."""
    for table_name, contract in tables.items():
        contract.__name__ = table_name
