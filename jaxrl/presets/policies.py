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
    **{
        ("ppo", game): Preset(
            "tuned here on seeds 20 and 21", num_steps=1_000_000, num_envs=32, rollout_length=64,
            config={"num_minibatches": 8, "learning_rate": 1e-3, "value_clip_range": math.inf},
            network={"hidden": (256, 128), "activation": "relu"},
        )
        for game in ("breakout", "space_invaders")
    },
    ("ppo", "mountain_car_continuous"): Preset(
        "tuned here on seeds 20 to 27", num_steps=100_000, num_envs=8, rollout_length=128,
        config={
            "num_epochs": 10, "num_minibatches": 4, "learning_rate": 1e-3, "discount": 0.999,
            "entropy_coefficient": 0.0, "value_clip_range": math.inf, "normalise_observations": True,
            "normalise_rewards": True,
        },
        network={"noise_period": 16, "log_deviation": 1.0},
    ),
    ("ppo", "memory_chain"): Preset(
        "tuned here on seeds 20 to 23, for a length of 100", num_steps=500_000, num_envs=16, rollout_length=101,
        config={
            "chunk_length": 101, "learning_rate": 3e-3, "discount": 1.0, "trace_decay": 1.0,
            "entropy_coefficient": 0.0, "value_clip_range": math.inf,
        },
        network={"hidden": (32,), "cell": "gru", "cell_size": 32, "cell_memory": 100},
    ),
    ("ppo", "t_maze"): Preset(
        "tuned here on seeds 0 to 7", num_steps=300_000, num_envs=16, rollout_length=128,
        config={"chunk_length": 128, "learning_rate": 2e-3, "value_clip_range": math.inf},
        network={"hidden": (32,), "cell": "gru", "cell_size": 32},
    ),
    ("a2c", None): Preset("Mnih et al. 2016; as Stable-Baselines3", num_steps=500_000, num_envs=8, rollout_length=8),
    ("reinforce", None): Preset("SLM-Lab's CartPole", num_steps=200_000, num_envs=4, rollout_length=128),
    ("reinforce_baseline", None): Preset("SLM-Lab's CartPole", num_steps=200_000, num_envs=4, rollout_length=128),
    ("actor_critic", None): Preset("Sutton and Barto 2018, 13.5", num_steps=100_000, num_envs=1, rollout_length=1),
    ("actor_critic_lambda", None): Preset(
        "Sutton and Barto 2018, 13.5", num_steps=100_000, num_envs=1, rollout_length=1
    ),
    ("differential_actor_critic", None): Preset(
        "Sutton and Barto 2018, 13.6", num_steps=100_000, num_envs=1, rollout_length=1
    ),
    ("impala", None): Preset("Espeholt et al. 2018", num_steps=500_000, num_envs=16, rollout_length=20),
    ("trpo", None): Preset(
        "Schulman et al. 2015; as Stable-Baselines3", num_steps=100_000, num_envs=2, rollout_length=1024
    ),
    ("reinforce_baseline", "cartpole"): Preset(
        "tuned here on seeds 20 to 51", num_steps=100_000, num_envs=8, rollout_length=64,
        config={"learning_rate": 3e-3, "normalise_rewards": True},
    ),
    ("a2c", "cartpole"): Preset(
        "tuned here on seeds 20 to 51", num_steps=100_000, num_envs=8, rollout_length=8,
        config={
            "standardise": True, "normalise_observations": True, "normalise_rewards": True, "learning_rate": 1e-3,
            "trace_decay": 0.9,
        },
    ),
    ("trpo", "cartpole"): Preset(
        "tuned here on seeds 20 to 27", num_steps=50_000, num_envs=4, rollout_length=256,
        config={"num_minibatches": 8, "learning_rate": 2e-3},
    ),
    ("trpo", "pendulum"): Preset(
        "tuned here on seeds 20 to 35", num_steps=100_000, num_envs=4, rollout_length=512,
        config={
            "num_epochs": 40, "kl_target": 0.02, "learning_rate": 5e-4, "discount": 0.95, "normalise_rewards": True,
        },
        network={"noise_period": 8},
    ),
    ("trpo", "acrobot"): Preset(
        "tuned here on seeds 20 to 35", num_steps=100_000, num_envs=16, rollout_length=64,
        config={
            "num_epochs": 20, "num_minibatches": 8, "kl_target": 0.02, "learning_rate": 2e-3, "trace_decay": 0.9,
            "normalise_rewards": True,
        },
    ),
    ("a2c", "pendulum"): Preset(
        "tuned here on seeds 20 to 35", num_steps=500_000, num_envs=8, rollout_length=64,
        config={
            "num_minibatches": 16, "standardise": True, "normalise_rewards": True, "learning_rate": 1e-3,
            "discount": 0.97, "trace_decay": 0.95, "entropy_coefficient": 0.0,
        },
    ),
}  # fmt: skip
