"""Data sets in Minari's local store: episode by episode the same bits, where Minari is installed."""

import importlib.util

import jax
import numpy as np
import pytest

from jaxrl import agents, datasets, envs, export
from jaxrl.errors import UsageError
from jaxrl.types import Rollout

INSTALLED = importlib.util.find_spec("minari") is not None
WORLDS = {
    "goals": lambda: envs.make("goal_grid", max_steps=7),
    "masked": lambda: envs.make("taxi", masked=True, max_steps=5),
    "continuous": lambda: envs.make("pendulum", max_steps=6),
    "pictures": lambda: envs.make("minigrid_empty", size=5, max_steps=6),
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.filterwarnings("ignore::UserWarning:minari")
def test_episodes_come_back_as_they_were(name, tmp_path, monkeypatch):
    """Row after row: observations, goals and masks, what ended each episode, and a cut where the data end."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = WORLDS[name]()
    steps = datasets.collect(agents.make("random", env), (), env, 60, 3).steps
    if not INSTALLED:
        with pytest.raises(UsageError, match="minari is not installed"):
            datasets.to_minari("jaxrl/world-v0", Rollout(steps, ()), env)
        return
    datasets.to_minari("jaxrl/world-v0", Rollout(steps, ()), env, "random play")
    read = datasets.from_minari("jaxrl/world-v0")
    assert read.metadata["total_steps"] == 60 and read.metadata["description"] == "random play"
    cut = np.zeros((20, 3), bool)
    cut[-1] = ~steps.terminated[-1]
    expected = steps._replace(truncated=steps.truncated | cut)
    expected = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(60, 1, *x.shape[2:]), expected)
    assert jax.tree.structure(read.rollout.steps) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(read.rollout.steps), jax.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes()
    with pytest.raises(UsageError, match="already exists"):
        datasets.to_minari("jaxrl/world-v0", Rollout(steps, ()), env)
    with pytest.raises(UsageError, match="no data set in Minari's local store"):
        datasets.from_minari("jaxrl/another-v0")
    dead = steps._replace(valid=np.zeros_like(steps.valid))
    with pytest.raises(UsageError, match="every step counts"):
        datasets.to_minari("jaxrl/other-v0", Rollout(dead, ()), env)


def test_without_minari_one_line_says_so(monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="minari is not installed"):
        datasets.from_minari("jaxrl/world-v0")
