"""Presets of deep agents that learn values: the DQN family, PQN, R2D2, HER."""

import math
from typing import Any

from jaxrl.presets.preset import Preset

# Long backups let small networks and few gradient steps do on classic control.
SMALL: dict[str, Any] = {
    "buffer_size": 50_000, "batch_size": 64, "gradient_steps": 0.5, "target_rate": 0.02, "double": True,
    "huber_threshold": math.inf, "backup_steps": 8,
}  # fmt: skip

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("dqn", None): Preset("Mnih et al. 2015, for classic control", num_steps=50_000, num_envs=8, rollout_length=5),
    ("double_dqn", None): Preset("van Hasselt et al. 2016, as dqn", num_steps=50_000, num_envs=8, rollout_length=5),
    ("dueling_dqn", None): Preset("Wang et al. 2016, as dqn", num_steps=50_000, num_envs=8, rollout_length=5),
    ("prioritized_dqn", None): Preset("Schaul et al. 2016, as dqn", num_steps=50_000, num_envs=8, rollout_length=5),
    ("rainbow", None): Preset("Hessel et al. 2018, as dqn", num_steps=100_000, num_envs=8, rollout_length=5),
    ("c51", None): Preset("Bellemare et al. 2017, as dqn", num_steps=100_000, num_envs=8, rollout_length=5),
    ("qr_dqn", None): Preset("Dabney et al. 2018a, as dqn", num_steps=100_000, num_envs=8, rollout_length=5),
    ("iqn", None): Preset("Dabney et al. 2018b, as dqn", num_steps=100_000, num_envs=8, rollout_length=5),
    ("munchausen_dqn", None): Preset("Vieillard et al. 2020, as dqn", num_steps=50_000, num_envs=8, rollout_length=5),
    ("r2d2", None): Preset(
        "Kapturowski et al. 2019, smaller", num_steps=500_000, num_envs=8, rollout_length=20,
        network={"hidden": (64,), "cell": "lstm"},
    ),
    ("her", None): Preset("Andrychowicz et al. 2017, as dqn", num_steps=150_000, num_envs=8, rollout_length=5),
    ("pqn", None): Preset(
        "Gallici et al. 2024, for classic control", num_steps=500_000, num_envs=32, rollout_length=64,
        network={"hidden": (128, 128), "activation": "relu", "normalisation": "layer"},
    ),
    **{
        (name, "cartpole"): Preset(
            "tuned here on seeds 0 to 11", num_steps=50_000, num_envs=8, rollout_length=1,
            config=SMALL | {
                "batch_size": 128, "gradient_steps": 1.0, "learning_rate": 1e-3, "backup_steps": 3,
            } | parts,
            network={"hidden": (128, 128), "activation": "silu"},
        )
        for name, parts in {
            "dqn": {}, "double_dqn": {}, "dueling_dqn": {},
            "prioritized_dqn": {"priority_exponent": 0.4, "importance_updates": 50_000},
        }.items()
    },
    **{
        (name, "cartpole"): Preset(
            "tuned here on seeds 20 to 27", num_steps=100_000, num_envs=8, rollout_length=1,
            config=SMALL | {
                "batch_size": 128, "gradient_steps": 0.25, "learning_rate": 1e-3, "backup_steps": 3,
            } | parts,
            network={"hidden": (128, 128), "activation": "silu"},
        )
        for name, parts in {
            "c51": {"value_low": 0.0, "value_high": 100.0}, "qr_dqn": {"num_quantiles": 16, "huber_threshold": 1.0},
            "rainbow": {"value_low": 0.0, "value_high": 100.0, "importance_updates": 25_000},
        }.items()
    },
    **{  # one gradient step for 16 steps of the game, where the source takes 16
        (name, game): Preset(
            "Young and Tian 2019 (MinAtar), with fewer gradient steps", num_steps=1_000_000, num_envs=32,
            rollout_length=2,
            config=parts | {
                "buffer_size": 100_032, "batch_size": 64, "learning_starts": 5_000, "target_rate": 0.01,
                "backup_steps": 3, "learning_rate": 5e-4, "gradient_steps": 0.0625,
            },
            network={"hidden": (128,), "activation": "relu", "channels": (16,)},
        )
        for name, parts in {
            "dqn": {"double": True, "epsilon_steps": 100_000.0, "epsilon_end": 0.02},
            "rainbow": {"value_low": 0.0, "value_high": 20.0, "importance_updates": 60_000},
        }.items()
        for game in ("breakout", "freeway")
    },
    ("dqn", "mountain_car"): Preset(
        "tuned here on seeds 0 to 55", num_steps=60_000, num_envs=8, rollout_length=1,
        config=SMALL | {
            "batch_size": 128, "learning_rate": 2e-3, "gradient_steps": 0.25, "target_rate": 0.05,
            "epsilon_steps": 20_000.0,
        },
        network={"hidden": (64, 64), "activation": "silu", "reach": 3.0},
    ),
    ("dqn", "acrobot"): Preset(
        "tuned here on seeds 20 to 55", num_steps=100_000, num_envs=8, rollout_length=1,
        config=SMALL | {
            "buffer_size": 100_000, "batch_size": 512, "learning_rate": 2e-3, "gradient_steps": 0.25,
            "target_rate": 0.05, "backup_steps": 3, "epsilon_end": 0.02,
        },
        network={"hidden": (64, 64), "activation": "silu", "normalisation": "layer"},
    ),
    ("pqn", "cartpole"): Preset(
        "random search here on seeds 0 to 85", num_steps=250_000, num_envs=32, rollout_length=32,
        config={
            "num_epochs": 4, "num_minibatches": 8, "learning_rate": 7e-4, "trace_decay": 0.95,
            "epsilon_steps": 125_000.0, "reward_scale": 0.1,
        },
        network={"hidden": (64, 64), "activation": "relu", "normalisation": "layer"},
    ),
    ("pqn", "acrobot"): Preset(
        "tuned here on seeds 0 to 29", num_steps=250_000, num_envs=16, rollout_length=64,
        config={
            "num_epochs": 8, "num_minibatches": 8, "learning_rate": 3e-3, "trace_decay": 0.8,
            "epsilon_steps": 60_000.0, "epsilon_end": 0.02, "reward_scale": 0.1,
        },
        network={"hidden": (64, 64), "activation": "relu", "normalisation": "layer"},
    ),
    ("her", "bit_flipping"): Preset(
        "tuned here on seeds 0 to 9, for 15 bits", num_steps=150_000, num_envs=16, rollout_length=4,
        config={
            "buffer_size": 150_016, "learning_rate": 1e-3, "gradient_steps": 0.25, "discount": 0.9,
            "target_rate": 0.02, "epsilon_end": 0.1, "epsilon_steps": 30_000.0,
        },
        network={"hidden": (256,), "activation": "relu"},
    ),
    ("her", "goal_grid"): Preset(
        "as on bit_flipping", num_steps=150_000, num_envs=16, rollout_length=4,
        config={
            "buffer_size": 150_016, "learning_rate": 1e-3, "gradient_steps": 0.25, "discount": 0.95,
            "target_rate": 0.02, "epsilon_end": 0.1, "epsilon_steps": 30_000.0,
        },
        network={"hidden": (256,), "activation": "relu"},
    ),
    ("r2d2", "memory_chain"): Preset(
        "tuned here on seeds 0 to 4; windows are whole episodes of length 100", num_steps=500_000, num_envs=16,
        rollout_length=101,
        config={
            "buffer_size": 500_960, "length": 101, "burn_in": 0, "stride": 101, "learning_rate": 3e-3,
            "gradient_steps": 0.0025, "learning_starts": 5_000,
        },
        network={"hidden": (32,), "cell": "gru", "cell_size": 32, "cell_memory": 100},
    ),
}  # fmt: skip
