"""The named datasets of prompts: where each is, and which of its columns mean what.

Only the standard library: the table is read while the workflow is planned.

Ids, configuration names, splits and columns are those that the hub's pages are publicly known to
show. They were written down without network access and not tried against the hub; a column that
is not there is one line that names those that are. The datasets of walledai are gated.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetSource:
    """How the rows of a dataset become prompts.

    Attributes:
        id: owner/name on the Hugging Face hub.
        config: which of the dataset's configurations; None if it has one only.
        split: which split.
        prompt: column of the prompt's text.
        category: column of its category: text, a list whose first item counts, or a mapping
            from names to booleans whose first true name counts.
        fixed_category: category of every row, where there is no column.
        context: column of a text that belongs before the prompt, joined by CONTEXT_FORMAT.
        only: (column, value): other rows are left out.
    """

    id: str
    config: str | None = None
    split: str = "train"
    prompt: str = "prompt"
    category: str | None = None
    fixed_category: str | None = None
    context: str | None = None
    only: tuple[str, object] | None = None

    def columns(self) -> list[str]:
        """The columns that are read."""
        columns = [self.prompt, self.category, self.context, self.only and self.only[0]]
        return list(dict.fromkeys(column for column in columns if column))


# As HarmBench's own code joins them.
CONTEXT_FORMAT = "{context}\n\n---\n\n{prompt}"

# The functional category is the source, the semantic one the category. All copyright behaviours
# have the semantic category `copyright`; the hub's copy has no column for it.
_HARMBENCH = {
    "harmbench-standard": DatasetSource(
        "walledai/HarmBench", config="standard", category="category"
    ),
    "harmbench-contextual": DatasetSource(
        "walledai/HarmBench", config="contextual", category="category", context="context"
    ),
    "harmbench-copyright": DatasetSource(
        "walledai/HarmBench", config="copyright", fixed_category="copyright"
    ),
}

# {name in the configuration: {source in prompts.parquet: where it is}}
NAMED: dict[str, dict[str, DatasetSource]] = {
    "beavertails": {
        # The prompts answered unsafely, as in arXiv 2512.12066.
        "beavertails": DatasetSource(
            "PKU-Alignment/BeaverTails",
            split="330k_train",
            category="category",
            only=("is_safe", False),
        )
    },
    "advbench": {"advbench": DatasetSource("walledai/AdvBench")},
    "harmbench": _HARMBENCH,
    **{name: {name: part} for name, part in _HARMBENCH.items()},
    "jailbreakbench": {
        "jailbreakbench": DatasetSource(
            "JailbreakBench/JBB-Behaviors",
            config="behaviors",
            split="harmful",
            prompt="Goal",
            category="Category",
        )
    },
    # The types tell safe prompts from their unsafe contrasts.
    "xstest": {"xstest": DatasetSource("Paul/XSTest", category="type")},
    "strongreject": {"strongreject": DatasetSource("walledai/StrongREJECT", category="category")},
}
