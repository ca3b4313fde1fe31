"""Presets of deterministic and soft actor-critics."""

from typing import Any

from jaxrl.presets.preset import Preset

WIDE: dict[str, Any] = {"hidden": (256, 256), "activation": "relu"}

# One set for both classic tasks but for what a sparse reward asks for: random actions that are held, noise that goes
# one way for a while, and backups that are longer.
SMALL: dict[str, Any] = {"batch_size": 128, "buffer_size": 50_000, "learning_rate": 1e-3, "target_rate": 0.02}
PENDULUM: dict[str, Any] = SMALL | {"learning_starts": 500, "discount": 0.98}
CLIMB: dict[str, Any] = SMALL | {
    "learning_starts": 3_000, "discount": 0.995, "gradient_steps": 0.5, "backup_steps": 5, "warm_up_hold": 30.0,
}  # fmt: skip
WANDER: dict[str, Any] = {"exploration_noise": 0.15, "noise_reversion": 0.05}
NARROW: dict[str, Any] = {"hidden": (64, 64), "activation": "relu"}
REACHING = NARROW | {"reach": 1.0}
HERE = "tuned here on seeds 20 to 27"

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("ddpg", None): Preset(
        "Lillicrap et al. 2016, as Fujimoto et al. 2018", num_steps=300_000, num_envs=1, rollout_length=1, network=WIDE,
    ),
    ("td3", None): Preset("Fujimoto et al. 2018", num_steps=300_000, num_envs=1, rollout_length=2, network=WIDE),
    ("sac", None): Preset("Haarnoja et al. 2018", num_steps=300_000, num_envs=1, rollout_length=1, network=WIDE),
    ("sac_discrete", None): Preset(
        "Christodoulou 2019, for classic control", num_steps=100_000, num_envs=1, rollout_length=1,
        network=NARROW,
    ),
    ("ddpg", "pendulum"): Preset(HERE, 15_000, 1, 1, PENDULUM, NARROW),
    ("td3", "pendulum"): Preset(HERE, 20_000, 1, 2, PENDULUM | {"target_rate": 0.05}, NARROW),
    ("sac", "pendulum"): Preset(HERE, 20_000, 1, 1, PENDULUM | {"learning_rate": 2e-3}, NARROW),
    ("ddpg", "mountain_car_continuous"): Preset(HERE, 50_000, 4, 1, CLIMB | WANDER, REACHING),
    ("td3", "mountain_car_continuous"): Preset(HERE, 50_000, 4, 1, CLIMB | WANDER, REACHING),
    ("sac", "mountain_car_continuous"): Preset(HERE, 25_000, 4, 1, CLIMB | {"temperature": 0.1}, REACHING),
    ("sac_discrete", "cartpole"): Preset(
        HERE, 50_000, 8, 1,
        SMALL | {"learning_rate": 5e-4, "backup_steps": 8, "target_entropy": 0.02},
        {"hidden": (64, 64), "activation": "silu"},
    ),
}  # fmt: skip
