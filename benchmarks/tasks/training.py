"""Timed training."""

from tasks.speed import Bar, RepeatTask, Settings, SpeedTask, StartTask

TANH_64 = {"hidden": [64, 64], "activation": "tanh"}
PPO_LARGE = Settings(
    "ppo", "cartpole", 499_712, 64, 128,
    {
        "num_epochs": 4, "num_minibatches": 4, "learning_rate": 2.5e-3, "discount": 0.99, "trace_decay": 0.95,
        "clip_range": 0.2, "value_clip_range": 0.2, "entropy_coefficient": 0.01, "value_coefficient": 0.5,
        "max_gradient_norm": 0.5,
    },
    TANH_64,
)  # fmt: skip
PPO_SMALL = PPO_LARGE._replace(  # Rejax's own configuration for CartPole
    num_steps=100_000, num_envs=5, rollout_length=100,
    config=PPO_LARGE.config | {"num_epochs": 5, "num_minibatches": 5, "learning_rate": 7.5e-4},
)  # fmt: skip
PPO_PENDULUM = Settings(  # Rejax's own configuration for Pendulum, without its normalisation of observations
    "ppo", "pendulum", 150_000, 100, 100,
    PPO_LARGE.config | {
        "num_epochs": 10, "num_minibatches": 10, "learning_rate": 1e-3, "discount": 0.995, "entropy_coefficient": 0.0,
        "max_gradient_norm": 10.0,
    },
    {"hidden": [64, 64], "activation": "silu"},
)  # fmt: skip
DQN = Settings(  # Rejax's own configuration for CartPole, with plain Q learning in place of dueling and double
    "dqn", "cartpole", 50_000, 10, 1,
    {
        "gradient_steps": 0.5, "batch_size": 100, "buffer_size": 50_000, "learning_starts": 5_000,
        "learning_rate": 1e-3, "discount": 0.99, "target_period": 5, "target_rate": 0.02, "epsilon_start": 1.0,
        "epsilon_end": 0.05, "epsilon_steps": 25_000.0, "max_gradient_norm": 10.0, "huber_threshold": 1e6,
    },
    {"hidden": [64, 64], "activation": "silu"}, calls=2,
)  # fmt: skip
DQN_SMALL = DQN._replace(  # long backups let a small network and few gradient steps do
    num_envs=8,
    config={
        "gradient_steps": 0.5, "batch_size": 64, "buffer_size": 50_000, "learning_rate": 2e-3, "target_rate": 0.02,
        "double": True, "huber_threshold": 1e6, "backup_steps": 8, "normalise_observations": True,
    },
)  # fmt: skip
PQN = Settings(  # Rejax's own configuration for CartPole; it has Adam where we have RAdam
    "pqn", "cartpole", 524_288, 16, 128,
    {
        "num_epochs": 5, "num_minibatches": 16, "learning_rate": 3e-4, "total_updates": 1e9, "discount": 0.99,
        "trace_decay": 0.9, "epsilon_start": 1.0, "epsilon_end": 0.05, "epsilon_steps": 262_144.0,
        "max_gradient_norm": 10.0,
    },
    {"hidden": [64, 64], "activation": "relu", "normalisation": "layer"},
)  # fmt: skip
SAC = Settings(  # Rejax's own configuration for Pendulum, without its normalisation of observations
    "sac", "pendulum", 10_000, 1, 1,
    {
        "batch_size": 256, "buffer_size": 10_000, "learning_starts": 256, "learning_rate": 1e-2, "discount": 0.99,
        "target_rate": 0.02, "max_gradient_norm": 1e6,
    },
    {"hidden": [64, 64], "activation": "relu"},
)  # fmt: skip
TD3 = Settings(  # Rejax's own configuration for Pendulum; noise in units of the bounds
    "td3", "pendulum", 10_000, 1, 2,
    {
        "batch_size": 100, "buffer_size": 10_000, "learning_starts": 1_000, "learning_rate": 1e-3, "discount": 0.99,
        "target_rate": 0.05, "exploration_noise": 0.15, "target_noise": 0.1, "target_noise_clip": 0.25,
        "max_gradient_norm": 100.0,
    },
    {"hidden": [64, 64], "activation": "silu"},
)  # fmt: skip
# The shortest budgets of RL Baselines3 Zoo (its learning rates decay where they do there, its clip range stays), and
# what presets of ours say.
ZOO_PPO = PPO_SMALL._replace(
    num_steps=99_840, num_envs=8, rollout_length=32,
    config={
        "num_epochs": 20, "num_minibatches": 1, "learning_rate": 1e-3, "discount": 0.98, "trace_decay": 0.8,
        "clip_range": 0.2, "value_clip_range": 1e9, "entropy_coefficient": 0.0, "value_coefficient": 0.5,
        "max_gradient_norm": 0.5,
    }, calls=1,
)  # fmt: skip
SOLVES_CARTPOLE = ZOO_PPO._replace(
    config={
        "num_epochs": 10, "num_minibatches": 4, "learning_rate": 1.5e-3, "trace_decay": 0.9, "value_clip_range": 1e9,
    },
)  # fmt: skip
ZOO_SAC = SAC._replace(
    num_steps=20_000,
    config={
        "batch_size": 256, "buffer_size": 1_000_000, "learning_starts": 100, "learning_rate": 1e-3,
        "total_updates": 1e9, "discount": 0.99, "target_rate": 0.005,
    },
    network={"hidden": [256, 256], "activation": "relu"}, calls=1,
)  # fmt: skip
SOLVES_PENDULUM = SAC._replace(
    config={
        "batch_size": 128, "buffer_size": 50_000, "learning_rate": 2e-3, "target_rate": 0.02, "learning_starts": 500,
        "discount": 0.98,
    },
    calls=1,
)  # fmt: skip
FASTER = "steps per second"
COMPILES = Bar("compile seconds", 0.7)
SOONER = Bar("seconds in all, with compilation", 1.0)
LARGE_8 = PPO_LARGE._replace(num_seeds=8, num_steps=253_952, calls=2)
SMALL_8 = PPO_SMALL._replace(num_seeds=8, calls=2)

SPEED = (
    SpeedTask("ppo-64x128", PPO_LARGE, "rejax", PPO_LARGE, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("ppo-5x100", PPO_SMALL, "rejax", PPO_SMALL, (Bar(FASTER, 1.25), COMPILES)),
    SpeedTask("ppo-pendulum-100x100", PPO_PENDULUM, "rejax", PPO_PENDULUM, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("ppo-64x128-8-seeds", LARGE_8, "rejax", LARGE_8, (Bar(FASTER, 2.5), COMPILES)),
    SpeedTask("ppo-5x100-8-seeds", SMALL_8, "rejax", SMALL_8, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("dqn-buffer-50k", DQN, "rejax", DQN, (Bar(FASTER, 4.0), COMPILES)),
    SpeedTask("pqn-16x128", PQN, "rejax", PQN, (Bar(FASTER, 1.5), COMPILES)),
    SpeedTask(
        "dqn-buffer-1m", DQN._replace(config=DQN.config | {"buffer_size": 1_000_000}), "jaxrl", DQN,
        (Bar(FASTER, 1 / 1.3),),
    ),
    # Eight seeds of ours, which solve CartPole, against one of the peer's.
    SpeedTask("dqn-solves-8-seeds", DQN_SMALL._replace(num_seeds=8), "rejax", DQN, (SOONER,)),
    SpeedTask("sac-pendulum", SAC, "rejax", SAC, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("td3-pendulum", TD3, "rejax", TD3, (Bar(FASTER, 3.0), COMPILES)),
    SpeedTask("ppo-solves-cartpole-sb3", SOLVES_CARTPOLE, "sb3", ZOO_PPO, (SOONER,)),
    SpeedTask("ppo-solves-cartpole-sbx", SOLVES_CARTPOLE, "sbx", ZOO_PPO, (SOONER,)),
    SpeedTask("sac-solves-pendulum-sb3", SOLVES_PENDULUM, "sb3", ZOO_SAC, (SOONER,)),
    SpeedTask("sac-solves-pendulum-sbx", SOLVES_PENDULUM, "sbx", ZOO_SAC, (SOONER,)),
    StartTask("second-start", ("train", "ppo", "cartpole"), 1.0),
    RepeatTask("32-seeds-end", PPO_SMALL._replace(num_seeds=32, num_steps=5_000, calls=1), 20, 120.0, 20),
)  # fmt: skip
