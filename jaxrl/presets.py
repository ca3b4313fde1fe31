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


# Long backups let small networks and few gradient steps do on classic control.
SMALL: dict[str, Any] = {
    "buffer_size": 50_000, "batch_size": 64, "gradient_steps": 0.5, "target_rate": 0.02, "double": True,
    "huber_threshold": math.inf, "backup_steps": 8,
}  # fmt: skip

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("random", None): Preset("no learning", num_steps=100_000, num_envs=8, rollout_length=128),
    **{
        (name, None): Preset(source, num_steps=500_000, num_envs=64, rollout_length=16)
        for name, source in {
            "q_learning": "Watkins 1989", "double_q_learning": "van Hasselt 2010",
            "expected_sarsa": "van Seijen et al. 2009", "sarsa": "Rummery and Niranjan 1994",
            "n_step_sarsa": "Sutton and Barto 2018, section 7.2", "tree_backup": "Precup et al. 2000",
            "monte_carlo": "Sutton and Barto 2018, chapter 5", "td_prediction": "Sutton and Barto 2018, section 7.1",
        }.items()
    },
    **{  # with traces, whose cost grows with the rows
        (name, None): Preset(source, num_steps=200_000, num_envs=8, rollout_length=16)
        for name, source in {
            "sarsa_lambda": "Rummery and Niranjan 1994", "q_lambda": "Watkins 1989", "td_lambda": "Sutton 1988",
        }.items()
    },
    **{  # that plan; for one row, as in the book
        (name, None): Preset(source, num_steps=20_000, num_envs=1, rollout_length=1, config={"ties": "random"})
        for name, source in {
            "dyna_q": "Sutton and Barto 2018, section 8.2", "dyna_q_plus": "Sutton and Barto 2018, section 8.3",
            "prioritised_sweeping": "Moore and Atkeson 1993",
        }.items()
    },
    ("differential_sarsa", None): Preset(
        "Sutton and Barto 2018, section 10.3", num_steps=500_000, num_envs=1, rollout_length=50,
    ),
    ("differential_sarsa", "access_control"): Preset(
        "tuned here on seeds 0 to 15", num_steps=2_000_000, num_envs=64, rollout_length=50,
        config={
            "learning_rate": 0.2, "learning_rate_decay": 1e-3, "average_step": 0.1, "epsilon": 0.3,
            "exploration_decay": 1e-4,
        },
    ),
    ("linear_sarsa", None): Preset(
        "Sutton and Barto 2018, section 12.7", num_steps=100_000, num_envs=1, rollout_length=1,
    ),
    ("linear_sarsa", "mountain_car"): Preset(
        "MushroomRL's exploration by optimism, tuned here on seeds 0 to 31", num_steps=50_000, num_envs=1,
        rollout_length=1,
        config={"tilings": 32, "learning_rate": 1.7, "discount": 1.0, "trace_decay": 0.95, "epsilon": 0.0},
    ),
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
    ("ppo", None): Preset("Schulman et al. 2017, table 3", num_steps=1_000_000, num_envs=8, rollout_length=128),
    ("pqn", None): Preset(
        "Gallici et al. 2024, for classic control", num_steps=500_000, num_envs=32, rollout_length=64,
        network={"hidden": (128, 128), "activation": "relu", "layer_norm": True},
    ),
    **{
        (name, "cartpole"): Preset(
            "tuned here on seeds 0 to 11", num_steps=50_000, num_envs=8, rollout_length=1,
            config=SMALL | {"batch_size": 128, "gradient_steps": 1.0, "learning_rate": 1e-3, "backup_steps": 3},
            network={"hidden": (128, 128), "activation": "silu"},
        )
        for name in ("dqn", "double_dqn", "dueling_dqn", "prioritized_dqn")
    },
    ("dqn", "mountain_car"): Preset(
        "tuned here on seeds 0 to 29", num_steps=60_000, num_envs=8, rollout_length=1,
        config=SMALL | {"learning_rate": 2e-3, "gradient_steps": 0.25, "target_rate": 0.05},
        network={"hidden": (64, 64), "activation": "silu", "reach": 3.0},
    ),
    ("dqn", "acrobot"): Preset(
        "tuned here on seeds 20 to 29", num_steps=100_000, num_envs=8, rollout_length=1,
        config=SMALL | {
            "learning_rate": 2e-3, "gradient_steps": 0.25, "target_rate": 0.05, "backup_steps": 3, "epsilon_end": 0.02,
        },
        network={"hidden": (64, 64), "activation": "silu"},
    ),
    ("pqn", "cartpole"): Preset(
        "random search here on seeds 0 to 85", num_steps=250_000, num_envs=32, rollout_length=32,
        config={
            "num_epochs": 4, "num_minibatches": 8, "learning_rate": 7e-4, "trace_decay": 0.95,
            "epsilon_steps": 125_000.0, "reward_scale": 0.1,
        },
        network={"hidden": (64, 64), "activation": "relu", "layer_norm": True},
    ),
    ("pqn", "acrobot"): Preset(
        "tuned here on seeds 0 to 29", num_steps=250_000, num_envs=16, rollout_length=64,
        config={
            "num_epochs": 8, "num_minibatches": 8, "learning_rate": 3e-3, "trace_decay": 0.8,
            "epsilon_steps": 60_000.0, "epsilon_end": 0.02, "reward_scale": 0.1,
        },
        network={"hidden": (64, 64), "activation": "relu", "layer_norm": True},
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
    ("sarsa", "windy_gridworld"): Preset(
        "tuned here on seeds 0 to 51", num_steps=1_000_000, num_envs=16, rollout_length=4,
        config={
            "learning_rate": 1.0, "learning_rate_decay": 0.01, "discount": 1.0, "epsilon": 0.3,
            "exploration_decay": 3e-4,
        },
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
