"""The README's Python is run as it stands there."""

import re
from pathlib import Path
from typing import Any

import numpy as np

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_block(index: int) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(blocks()[index], f"README.md, Python block {index}", "exec"), names)
    return names


def test_short_form_trains_eight_seeds_and_gives_a_policy() -> None:
    names = run_block(0)
    last = names["result"].metrics.groupby("seed").episode_return.last()
    assert sorted(last.index) == list(range(8))
    assert last.mean() > 300  # a random policy earns 22; 50,000 steps end near 490
    assert names["action"] in (0, 1)


def test_composed_form_learns() -> None:
    names = run_block(1)
    assert float(np.mean(names["episodes"].returns)) > 150  # 20,480 steps; a random policy earns 22
    assert len([line for line in blocks()[1].splitlines() if line]) <= 25


def test_there_are_two_python_forms_and_two_commands() -> None:
    assert len(blocks()) == 2
    assert README.count("```bash") == 2
