"""Learning tasks of agents that learn a policy."""

from typing import Any

from tasks.learning import LearningTask

CORRIDOR: dict[str, Any] = {"environment_options": {"length": 20}}

TASKS = (
    LearningTask("ppo-cartpole-50k", "ppo", "cartpole", 50_000, 475.0, "500 at 100k (1 run)", "RL Baselines3 Zoo"),
    LearningTask("ppo-cartpole-100k", "ppo", "cartpole", 100_000, 490.0, "490 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask("ppo-acrobot-150k", "ppo", "acrobot", 150_000, -82.0, "-86.4 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask(
        "ppo-pendulum-100k", "ppo", "pendulum", 100_000, -180.0, "-237 at 300k (25 seeds)", "MushroomRL benchmark",
        episodes=1000,
    ),
    LearningTask(
        "recurrent-ppo-t-maze", "ppo", "t_maze", 300_000, 0.95, "none: our target", "a corridor of 20 (Bakker 2002)",
        statistic="success", options=CORRIDOR | {"network": {"cell": "gru"}}, control="feedforward-ppo-t-maze",
    ),
    LearningTask(
        "feedforward-ppo-t-maze", "ppo", "t_maze", 300_000, 0.6, "0.5, a guess", "the control, without a memory",
        better="lower", statistic="success", options=CORRIDOR | {"network": {"cell": None}},
    ),
)  # fmt: skip
