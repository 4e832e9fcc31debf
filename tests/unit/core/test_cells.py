import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.core.cells import cell_files, cell_name, request_seed, temperature_text


@pytest.mark.parametrize(
    ("temperature", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (1.0, "1"),
        (0.70, "0.7"),
        (0.3, "0.3"),
        (0.1 + 0.2, "0.3"),  # 0.30000000000000004 is no other cell
        (0.05, "0.05"),
        (1.25, "1.25"),
        (2, "2"),
        (10.0, "10"),
    ],
)
def test_temperature_text_is_shortest(temperature: float, text: str) -> None:
    assert temperature_text(temperature) == text


@given(st.integers(min_value=0, max_value=2000))
def test_temperature_text_reads_back_as_the_same_number(hundredths: int) -> None:
    temperature = hundredths / 100
    assert float(temperature_text(temperature)) == temperature


def test_a_cells_files_are_named_as_in_the_rules() -> None:
    assert cell_name(0.70, 42) == "T0.7_seed42"
    names = [str(path) for path in cell_files(Path("run/m"), [0.0, 1.0], [1, 2])]
    assert names == [
        "run/m/T0_seed1.parquet",
        "run/m/T0_seed2.parquet",
        "run/m/T1_seed1.parquet",
        "run/m/T1_seed2.parquet",
    ]


@pytest.mark.parametrize(
    ("seed", "prompt_id", "expected"),
    [
        # int(hashlib.sha256(b"42:e0b7523f0116").hexdigest()[:16], 16) // 2, and the like
        (42, "e0b7523f0116", 6536311359835359092),
        (0, "e0b7523f0116", 5901140539842962254),
        (42, "14ffaa0104cd", 3297194578691511781),
    ],
)
def test_request_seed_never_changes(seed: int, prompt_id: str, expected: int) -> None:
    assert request_seed(seed, prompt_id, "prompt") == expected


@given(
    st.integers(min_value=0, max_value=2**32 - 1),
    st.text("0123456789abcdef", min_size=12, max_size=12),
)
def test_request_seed_fits_a_signed_64_bit_integer(seed: int, prompt_id: str) -> None:
    assert 0 <= request_seed(seed, prompt_id, "prompt") < 2**63


def test_request_seeds_of_a_grid_all_differ() -> None:
    grid = list(itertools.product(range(42, 62), (f"{number:012x}" for number in range(100))))
    seeds = {request_seed(seed, prompt_id, "prompt") for seed, prompt_id in grid}
    assert len(seeds) == len(grid) == 2000


def test_request_seed_of_scope_cell_is_the_cells_own() -> None:
    assert request_seed(42, "e0b7523f0116", "cell") == 42
    assert request_seed(42, "14ffaa0104cd", "cell") == 42


@pytest.mark.parametrize("scope", ["", "Prompt", "response"])
def test_request_seed_refuses_another_scope(scope: str) -> None:
    with pytest.raises(ValueError, match="must be 'prompt' or 'cell'"):
        request_seed(42, "e0b7523f0116", scope)
