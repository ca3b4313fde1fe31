"""Presets of worlds whose rewards are rare: deep sea, the mountain car, MiniGrid."""

import math
from typing import Any

from jaxrl.presets.preset import Preset

GRID: dict[str, Any] = {
    "num_epochs": 4, "num_minibatches": 8, "learning_rate": 1e-3, "entropy_coefficient": 0.03, "entropy_span": 1.0,
    "value_clip_range": math.inf,
}  # fmt: skip
DOORS: dict[str, Any] = GRID | {"num_minibatches": 4, "entropy_coefficient": 0.01}
# First visits of an episode, which stay worth something: the predictor learns slowly.
NOVEL: dict[str, Any] = {
    "bonus": "rnd", "episodic": True, "coefficient": 0.1, "learning_rate": 1e-4, "num_epochs": 1,
}  # fmt: skip

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("dqn", "deep_sea"): Preset(
        "tuned here on seeds 20 to 49, for 10 x 10", num_steps=5_000, num_envs=1, rollout_length=1,
        config={
            "learning_starts": 64, "batch_size": 64, "gradient_steps": 1.0, "target_rate": 0.05, "buffer_size": 5_000,
            "double": True, "backup_steps": 3, "epsilon_start": 0.3, "epsilon_end": 0.3,
        },
        network={"activation": "relu"}, curiosity={"bonus": "rnd"},
    ),
    ("ppo", "mountain_car"): Preset(
        "tuned here on seeds 20 to 25", num_steps=250_000, num_envs=16, rollout_length=128,
        config={
            "num_epochs": 10, "num_minibatches": 8, "learning_rate": 1e-3, "value_clip_range": math.inf,
            "normalise_rewards": True,
        },
        network={"reach": 3.0}, curiosity={"bonus": "rnd", "num_epochs": 4, "coefficient": 10.0},
    ),
    ("ppo", "minigrid_empty"): Preset(
        "tuned here on seeds 20 to 25, for 8 x 8", num_steps=30_000, num_envs=16, rollout_length=64,
        config=GRID,
        network={"reach": 1.0},
    ),
    ("ppo", "minigrid_door_key"): Preset(
        "tuned here on seeds 20 to 27, for 5 x 5 and the view one_hot", num_steps=100_000, num_envs=16,
        rollout_length=64,
        config=DOORS | {"learning_rate": 2e-3, "discount": 0.97, "chunk_length": 32},
        network={"hidden": (64,), "cell": "gru", "cell_size": 64}, curiosity=NOVEL,
    ),
    ("ppo", "minigrid_key_corridor"): Preset(
        "tuned here on seeds 20 to 23, for S3R1 and the view one_hot", num_steps=500_000, num_envs=16,
        rollout_length=64,
        config=DOORS, curiosity=NOVEL,
    ),
}  # fmt: skip
