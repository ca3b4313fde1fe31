"""Presets of agents that learn a policy."""

import math

from jaxrl.presets.preset import Preset

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("ppo", None): Preset("Schulman et al. 2017, table 3", num_steps=1_000_000, num_envs=8, rollout_length=128),
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
}  # fmt: skip
