"""Where the weights of a model or judge are: a folder, the Hugging Face hub, or the demo."""

from pathlib import Path
from typing import Any

DEMO_PREFIX = "demo:"


def is_folder(weights: str) -> bool:
    """Tell whether ``weights`` names a local folder rather than a Hugging Face id.

    An id has exactly one slash; a path starts with ".", "/" or "~", has more or fewer
    slashes, or begins with a folder that exists here.
    """
    return (
        weights.startswith((".", "/", "~"))
        or weights.count("/") != 1
        or Path(weights.split("/")[0]).is_dir()
    )


def is_on_hub(entry: dict[str, Any]) -> bool:
    """Tell whether a model's or judge's weights are a Hugging Face id; it may have none."""
    weights = entry.get("weights", DEMO_PREFIX)
    return not weights.startswith(DEMO_PREFIX) and not is_folder(weights)
