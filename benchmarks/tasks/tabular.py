"""Learning tasks of tabular agents."""

from tasks.learning import LearningTask

OPTIMUM = "exact, by dynamic programming"

TASKS = (
    *(
        LearningTask(
            f"linear-sarsa-mountain-car-{steps // 1000}k", "linear_sarsa", "mountain_car", steps, bar, published,
            "MushroomRL benchmark",
        )
        for steps, bar, published in (
            (25_000, -107.0, "-106.7 at 50k (25 seeds)"), (50_000, -103.5, "-102.7 at 100k (25 seeds)"),
        )
    ),
    LearningTask(
        "linear-sarsa-mountain-car-worst", "linear_sarsa", "mountain_car", 50_000, -125.0,
        "-102.7 +- 3.0 at 100k (25 seeds)", "MushroomRL benchmark", judged="every seed",
    ),
    LearningTask(
        "q-learning-taxi", "q_learning", "taxi", 2_000_000, 7.93, "7.93, the optimum", OPTIMUM,
        judged="every seed", tolerance=0.01, statistic="exact return",
    ),
    LearningTask(
        "q-learning-frozen-lake-4x4", "q_learning", "frozen_lake", 4_000_000, 0.740, "0.740, optimal at discount 0.99",
        OPTIMUM, judged="every seed", tolerance=0.0005, statistic="exact return",
        options={"environment_options": {"slippery": True}},
    ),
    LearningTask(
        "q-learning-frozen-lake-8x8", "q_learning", "frozen_lake", 1_000_000_000, 0.863,
        "0.863, optimal at discount 0.99", OPTIMUM, judged="every seed", tolerance=0.0005, statistic="exact return",
        options={"num_envs": 1024, "environment_options": {"layout": "8x8", "slippery": True}},
    ),
    LearningTask(
        "q-learning-cliff-walking", "q_learning", "cliff_walking", 500_000, -13.0, "-13, the optimum", OPTIMUM,
        judged="every seed", tolerance=1e-6, statistic="exact return",
    ),
    LearningTask(
        "sarsa-windy-gridworld", "sarsa", "windy_gridworld", 4_000_000, -15.0, "-15, the optimum", OPTIMUM,
        judged="every seed", tolerance=1e-6, statistic="exact return",
    ),
    LearningTask(
        "sarsa-windy-gridworld-king", "sarsa", "windy_gridworld", 4_000_000, -7.0, "-7, the optimum", OPTIMUM,
        judged="every seed", tolerance=1e-6, statistic="exact return",
        options={"environment_options": {"moves": "king"}},
    ),
)  # fmt: skip
