"""The Python in docs/ is run as it stands there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrl.envs import registry

TUTORIAL = (Path(__file__).parent.parent / "docs" / "your_own_world.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)


@pytest.fixture(scope="module")
def names() -> Any:
    """What all blocks of the tutorial define, run in order; the name that it registers is forgotten afterwards."""
    found: dict[str, Any] = {"__name__": "your_own_world"}
    try:
        for number, block in enumerate(BLOCKS, 1):
            exec(compile(block, f"your_own_world.md, Python block {number}", "exec"), found)
        yield found
    finally:
        registry.CONSTRUCTORS.pop("ferry", None)


def test_the_world_has_at_most_sixty_lines() -> None:
    assert len(BLOCKS) == 5
    assert 40 <= len([line for line in BLOCKS[0].splitlines() if line]) <= 60


def test_the_tutorial_shows_what_check_env_says(names: dict[str, Any]) -> None:
    (shown,) = re.findall(r"```text\n(.*?)\n```", TUTORIAL, re.DOTALL)
    assert names["complaint"] == shown


def best_return(current: float, width: int = 3, length: int = 7, limit: int = 40) -> float:
    """The ferry's optimum, by backward induction over its rules as the text has them."""
    value = np.zeros((width + 1, length))
    for _ in range(limit):
        before, value = value, np.zeros_like(value)
        for across, along in np.ndindex(width, length):
            choices = []
            for action in range(3):
                ahead, gain = across + (action == 0), 0.0
                for drift, chance in ((1, current), (0, 1 - current)):
                    place = min(max(along - (action == 1) + drift, 0), length - 1)
                    landing = 5.0 if place == 1 else 1.0
                    gain += chance * (landing if ahead == width else before[ahead, place] - 0.1)
                choices.append(gain)
            value[across, along] = max(choices)
    return value[0, length // 2]


def test_the_tutorials_world_is_learnt(names: dict[str, Any]) -> None:
    """To within four standard errors of 1000 episodes and a small gap; straight ahead, to the bank, earns 0.8."""
    best, returns = best_return(0.3), np.asarray(names["episodes"].returns)
    assert abs(returns.mean() - best) < 0.1 + 4 * returns.std() / np.sqrt(1000) < 0.4 < best / 4
    docked, lengths = (np.asarray(x) for x in (names["episodes"].measures["docked"], names["episodes"].lengths))
    np.testing.assert_allclose(returns, 1 + 4 * docked - 0.1 * (lengths - 1), atol=1e-5)
    assert names["action"] in (0, 1, 2) and names["wild"].observation_space.shape == (2,)
