"""The table of presets: settings that are known to work, by (algorithm, environment), each with its source.

An environment of None is the algorithm's default. Everything that a row leaves out is the default of the algorithm's
configuration and of the network.
"""

import math
from typing import Any, NamedTuple

from jaxrl.errors import unknown


class Preset(NamedTuple):
    source: str
    num_steps: int  # environment steps over all environments
    num_envs: int
    rollout_length: int
    config: dict[str, Any] = {}
    network: dict[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """The part that settings are made of."""
        return {name: value for name, value in self._asdict().items() if name != "source"}


PRESETS: dict[tuple[str, str | None], Preset] = {
    ("random", None): Preset("no learning", num_steps=100_000, num_envs=8, rollout_length=128),
    ("q_learning", None): Preset("Watkins 1989", num_steps=500_000, num_envs=64, rollout_length=16),
    ("dqn", None): Preset("Mnih et al. 2015, for classic control", num_steps=50_000, num_envs=8, rollout_length=5),
    ("ppo", None): Preset("Schulman et al. 2017, table 3", num_steps=1_000_000, num_envs=8, rollout_length=128),
    ("dqn", "cartpole"): Preset(
        "random search here on seeds 0 to 31", num_steps=50_000, num_envs=8, rollout_length=1,
        config={
            "buffer_size": 50_000, "learning_rate": 1e-3, "gradient_steps": 1.0, "discount": 0.975,
            "target_rate": 0.02, "double": True, "huber_threshold": math.inf,
        },
        network={"hidden": (128, 128), "activation": "silu"},
    ),
    ("ppo", "cartpole"): Preset(
        "tuned here on seeds 0 to 63", num_steps=100_000, num_envs=8, rollout_length=32,
        config={
            "num_epochs": 10, "num_minibatches": 4, "learning_rate": 1.5e-3, "trace_decay": 0.9,
            "value_clip_range": math.inf,
        },
    ),
    ("ppo", "acrobot"): Preset(
        "tuned here on seeds 0 to 15", num_steps=150_000, num_envs=16, rollout_length=128,
        config={
            "num_epochs": 20, "num_minibatches": 8, "learning_rate": 2e-3, "trace_decay": 0.9,
            "entropy_coefficient": 1e-3, "value_clip_range": math.inf, "normalise_rewards": True,
        },
    ),
    ("ppo", "pendulum"): Preset(
        "tuned here on seeds 0 to 15", num_steps=100_000, num_envs=4, rollout_length=256,
        config={
            "num_epochs": 10, "num_minibatches": 16, "learning_rate": 1e-3, "discount": 0.95,
            "entropy_coefficient": 0.0, "value_clip_range": math.inf, "normalise_rewards": True,
        },
    ),
    ("ppo", "t_maze"): Preset(
        "tuned here on seeds 0 to 7", num_steps=300_000, num_envs=16, rollout_length=128,
        config={"chunk_length": 128, "learning_rate": 2e-3, "value_clip_range": math.inf},
        network={"hidden": (32,), "cell": "gru", "cell_size": 32},
    ),
    ("q_learning", "frozen_lake"): Preset(
        "step sizes of Wainwright 2019, tuned here on seeds 0 to 9", num_steps=4_000_000, num_envs=256,
        rollout_length=16,
        config={"learning_rate": 1.0, "learning_rate_decay": 0.02, "epsilon": 0.3, "initial_value": 1.0},
    ),
}  # fmt: skip


def preset(algorithm: str, environment: str) -> Preset:
    """The row of (algorithm, environment), or the algorithm's default."""
    default = PRESETS.get((algorithm, None))
    row = PRESETS.get((algorithm, environment), default)
    if row is None:
        raise unknown("algorithm", algorithm, sorted({name for name, _ in PRESETS}))
    return row
