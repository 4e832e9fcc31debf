import pytest

from refusal_stability import versions


@pytest.mark.parametrize("stage", ["PROMPTS", "TRAINING", "GENERATION", "JUDGING"])
def test_versions_are_counted_from_one(stage: str) -> None:
    version = getattr(versions, stage)
    assert isinstance(version, int)
    assert version >= 1
