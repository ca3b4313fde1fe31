"""Learning tasks of agents that have to find rare rewards."""

from typing import Any

from tasks.learning import LearningTask

SEA: dict[str, Any] = {"environment_options": {"size": 10}}
NOT_CURIOUS: dict[str, Any] = {"curiosity": {"bonus": None}}


def seen(**options: int) -> dict[str, Any]:
    """A MiniGrid of which the agent sees its own image, one-hot."""
    return {"environment_options": {"view": "one_hot"} | options}


TASKS = (
    LearningTask(
        "rnd-dqn-deep-sea-500", "dqn", "deep_sea", 5_000, 0.985, "0 at 100k to 150k (PPO)", "gymnax README",
        statistic="exact return", options=SEA, judged="every seed", exceptions=1, tolerance=1e-6,
        control="dqn-deep-sea-500",
    ),
    LearningTask(
        "dqn-deep-sea-500", "dqn", "deep_sea", 5_000, 0.5, "none: our target", "the control, without RND",
        better="lower", statistic="exact return", tolerance=1e-6, options=SEA | NOT_CURIOUS,
    ),
    LearningTask(
        "rnd-ppo-mountain-car-250k", "ppo", "mountain_car", 250_000, -120.0, "-200 at 500k (3 seeds)", "CleanRL docs",
        judged="every seed", exceptions=1,
    ),
    LearningTask(
        "ppo-minigrid-empty-30k", "ppo", "minigrid_empty", 30_000, 0.955, "0.95 at 40k (RND, 5 seeds)",
        "DI-engine docs",
    ),
    LearningTask(
        "rnd-ppo-door-key-5-50k", "ppo", "minigrid_door_key", 50_000, 0.955, "0.95 at 80k to 400k (5 curves)",
        "rl-starter-files README", options=seen(size=5),
    ),
    LearningTask(
        "rnd-ppo-door-key-5-100k", "ppo", "minigrid_door_key", 100_000, 0.96, "0.964 at 100k (1 run)",
        "RL Baselines3 Zoo", options=seen(size=5),
    ),
    *(
        LearningTask(
            f"rnd-ppo-key-corridor-{budget // 1000}k", "ppo", "minigrid_key_corridor", budget, bar,
            "0.949 at 500k (1 run)", "RL Baselines3 Zoo", options=seen(room_size=3, num_rows=1),
        )
        for budget, bar in ((250_000, 0.93), (500_000, 0.94))
    ),
)  # fmt: skip
