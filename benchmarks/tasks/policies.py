"""Learning tasks of agents that learn a policy."""

from typing import Any

from tasks.learning import LearningTask

CORRIDOR: dict[str, Any] = {"environment_options": {"length": 20}}
# Whole episodes of 21 steps; a trap in each of them, which the mask shows.
TRAPS: dict[str, Any] = {
    "environment_options": {"length": 20, "traps": "masked"}, "rollout_length": 105, "config": {"chunk_length": 21},
    "network": {"cell_memory": 0},
}  # fmt: skip

TASKS = (
    LearningTask("ppo-cartpole-50k", "ppo", "cartpole", 50_000, 475.0, "500 at 100k (1 run)", "RL Baselines3 Zoo"),
    LearningTask("ppo-cartpole-100k", "ppo", "cartpole", 100_000, 490.0, "490 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask("ppo-acrobot-150k", "ppo", "acrobot", 150_000, -82.0, "-86.4 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask(
        "ppo-pendulum-100k", "ppo", "pendulum", 100_000, -180.0, "-237 at 300k (25 seeds)", "MushroomRL benchmark",
        episodes=1000,
    ),
    LearningTask(
        "ppo-mountain-car-continuous-100k", "ppo", "mountain_car_continuous", 100_000, 90.0, "88.3 at 20k (1 run)",
        "RL Baselines3 Zoo", judged="every seed", exceptions=1,
    ),
    LearningTask(
        "recurrent-ppo-memory-chain", "ppo", "memory_chain", 500_000, 0.98, "none: our target",
        "a length of 100 (Osband et al. 2020)", statistic="success", options={"environment_options": {"length": 100}},
    ),
    LearningTask(
        "masked-recurrent-ppo-traps", "ppo", "memory_chain", 300_000, 0.95, "none: our target",
        "a memory chain of 20 whose traps the mask shows", statistic="success",
        options=TRAPS, control="unmasked-recurrent-ppo-traps",
    ),
    LearningTask(
        "unmasked-recurrent-ppo-traps", "ppo", "memory_chain", 300_000, 0.6, "0, a guess in every step",
        "the control, without a mask", better="lower", statistic="success",
        options=TRAPS | {"environment_options": {"length": 20, "traps": "hidden"}},
    ),
    LearningTask(
        "masked-feedforward-ppo-traps", "ppo", "memory_chain", 300_000, 0.6, "0.5, a guess",
        "the control, without a memory", better="lower", statistic="success",
        options=TRAPS | {"network": {"cell": None, "cell_memory": 0}},
    ),
    LearningTask(
        "recurrent-ppo-t-maze", "ppo", "t_maze", 300_000, 0.95, "none: our target", "a corridor of 20 (Bakker 2002)",
        statistic="success", options=CORRIDOR | {"network": {"cell": "gru"}}, control="feedforward-ppo-t-maze",
    ),
    LearningTask(
        "feedforward-ppo-t-maze", "ppo", "t_maze", 300_000, 0.6, "0.5, a guess", "the control, without a memory",
        better="lower", statistic="success", options=CORRIDOR | {"network": {"cell": None}},
    ),
    LearningTask(
        "reinforce-cartpole-100k", "reinforce_baseline", "cartpole", 100_000, 485.0, "483.3 at 200k (4 seeds)",
        "SLM-Lab",
    ),
    LearningTask("a2c-cartpole-100k", "a2c", "cartpole", 100_000, 497.0, "496.7 at 200k (4 seeds)", "SLM-Lab"),
    LearningTask("trpo-cartpole-50k", "trpo", "cartpole", 50_000, 495.0, "500 at 100k (1 run)", "RL Baselines3 Zoo"),
    LearningTask("trpo-acrobot-100k", "trpo", "acrobot", 100_000, -83.0, "-83.1 at 100k (1 run)", "RL Baselines3 Zoo"),
    LearningTask(
        "trpo-pendulum-100k", "trpo", "pendulum", 100_000, -200.0, "-174.6 at 100k (1 run)", "RL Baselines3 Zoo",
        episodes=1000,
    ),
    LearningTask(
        "a2c-pendulum-500k", "a2c", "pendulum", 500_000, -200.0, "-163.0 at 1M (1 run)", "RL Baselines3 Zoo",
        episodes=1000,
    ),
    LearningTask(
        "ppo-breakout-1m", "ppo", "breakout", 1_000_000, 22.0, "20.3 at 1M (1 run)", "gymnax-blines",
    ),
    LearningTask(
        "ppo-space-invaders-1m", "ppo", "space_invaders", 1_000_000, 60.0, "58.1 at 1M (1 run)", "gymnax-blines",
    ),
)  # fmt: skip
