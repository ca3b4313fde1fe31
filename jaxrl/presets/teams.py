"""Presets of teams."""

from typing import Any

from jaxrl.presets.preset import Preset

# OpenAI's code takes a gradient step on 1024 teams every 100 steps of the world, at a rate of 1e-2.
MADDPG: dict[str, Any] = {
    "buffer_size": 1_000_000, "batch_size": 1024, "learning_starts": 25_600, "gradient_steps": 0.01,
    "learning_rate": 1e-2, "discount": 0.95, "target_rate": 0.01, "max_gradient_norm": 0.5, "output_penalty": 1e-3,
}  # fmt: skip
MEETING = MADDPG | {
    "buffer_size": 100_000, "batch_size": 256, "learning_starts": 1_000, "gradient_steps": 0.1, "learning_rate": 1e-3,
}  # fmt: skip
RELU: dict[str, Any] = {"activation": "relu"}

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("mappo", None): Preset("Yu et al. 2022, as ppo", num_steps=1_000_000, num_envs=16, rollout_length=128),
    ("maddpg", None): Preset("Lowe et al. 2017", 1_500_000, 4, 25, MADDPG, RELU),
    ("matd3", None): Preset("Ackermann et al. 2019, as maddpg", 1_500_000, 4, 25, MADDPG, RELU),
    **{
        (name, "coordination"): Preset("tuned here on seeds 20 to 23", 50_000, 4, 5, MEETING, RELU)
        for name in ("maddpg", "ddpg")
    },
    ("coma", None): Preset("Foerster et al. 2018, as mappo", 1_000_000, 16, 32),
    ("vdn", None): Preset("Sunehag et al. 2018, as r2d2", 500_000, 8, 5),
    ("qmix", None): Preset("Rashid et al. 2018, as r2d2", 500_000, 8, 5),
    **{
        (name, "two_step_game"): Preset(
            "Rashid et al. 2018, appendix: data that is wholly random", 20_000, 8, 5,
            {
                "buffer_size": 4_000, "learning_starts": 400, "gradient_steps": 0.2, "discount": 0.99,
                "epsilon_end": 1.0, "learning_rate": 2e-3, "length": 2,
            },
        )
        for name in ("vdn", "qmix")
    },
}  # fmt: skip
