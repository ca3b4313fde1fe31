"""Learning tasks of deep agents that learn values."""

from typing import Any

from tasks.learning import LearningTask

CHAIN: dict[str, Any] = {"environment_options": {"length": 100}}
BITS: dict[str, Any] = {"environment_options": {"num_bits": 15}}

TASKS = (
    *(
        LearningTask(
            f"{algorithm.replace('_', '-')}-cartpole-50k", algorithm, "cartpole", 50_000, 475.0, published, source,
        )
        for algorithm, published, source in (
            ("dqn", "478 at 100k (5 seeds)", "Jaxplorer"), ("double_dqn", "478 at 100k (5 seeds)", "Jaxplorer"),
            ("dueling_dqn", "none at this budget", "our target"),
            ("prioritized_dqn", "452 at 200k (4 seeds)", "SLM-Lab"),
        )
    ),
    *(
        LearningTask(
            f"{algorithm.replace('_', '-')}-cartpole-100k", algorithm, "cartpole", 100_000, 490.0, published, source,
        )
        for algorithm, published, source in (
            ("c51", "491 at 500k (3 seeds)", "CleanRL docs"), ("qr_dqn", "500 at 50k (1 run)", "RL Baselines3 Zoo"),
            ("rainbow", "none at this budget", "our target"),
        )
    ),
    *(
        LearningTask(
            f"{algorithm}-{game}-1m", algorithm, game, 1_000_000, bar, published, "MinAtar, sticky actions",
            num_seeds=2,
        )
        for algorithm, game, bar, published in (
            ("dqn", "breakout", 9.0, "9 at 1M (30 seeds)"), ("dqn", "freeway", 40.0, "47.5 at 1M (30 seeds)"),
            ("rainbow", "breakout", 9.0, "9 at 1M (30 seeds, DQN)"),
            ("rainbow", "freeway", 40.0, "47.5 at 1M (30 seeds, DQN)"),
        )
    ),
    LearningTask("dqn-acrobot-100k", "dqn", "acrobot", 100_000, -80.0, "-76.6 (1 run)", "RL Baselines3 Zoo"),
    LearningTask(
        "dqn-mountain-car-60k", "dqn", "mountain_car", 60_000, -115.0, "-101 at 120k (1 run)", "RL Baselines3 Zoo",
    ),
    LearningTask(
        "dqn-mountain-car-120k", "dqn", "mountain_car", 120_000, -199.0, "-189 at 500k (3 seeds)", "CleanRL docs",
        judged="every seed",
    ),
    LearningTask("pqn-acrobot-250k", "pqn", "acrobot", 250_000, -90.0, "-95.6 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask("pqn-cartpole-250k", "pqn", "cartpole", 250_000, 495.0, "495 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask(
        "r2d2-memory-chain", "r2d2", "memory_chain", 500_000, 0.98, "none: our target", "a chain of 100 (bsuite)",
        statistic="success", options=CHAIN, control="dqn-memory-chain",
    ),
    LearningTask(
        "dqn-memory-chain", "dqn", "memory_chain", 500_000, 0.6, "0.5, a guess", "the control, without a memory",
        better="lower", statistic="success", options=CHAIN,
    ),
    LearningTask(
        "her-bit-flipping-15", "her", "bit_flipping", 150_000, 0.95, "0.9 at 150k (3 seeds)", "DI-engine docs",
        judged="every seed", statistic="success", options=BITS, control="dqn-bit-flipping-15",
    ),
    LearningTask(
        "dqn-bit-flipping-15", "her", "bit_flipping", 150_000, 0.05, "0 in 20M (DQN)", "the control, by its own goals",
        better="lower", statistic="success", options=BITS | {"config": {"hindsight": None}},
    ),
    LearningTask(
        "her-goal-grid", "her", "goal_grid", 150_000, 0.95, "none: our target", "any goal of a map with walls",
        judged="every seed", statistic="success",
    ),
)  # fmt: skip
