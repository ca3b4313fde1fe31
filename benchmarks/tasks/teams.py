"""Learning tasks of teams."""

from tasks.learning import LearningTask

PAPER = "Rashid et al. 2018, table 1"

TASKS = (
    LearningTask(
        "maddpg-coordination-50k", "maddpg", "coordination", 50_000, 0.95, "none: our target", "all within 0.1",
        statistic="success",
    ),
    LearningTask(
        "independent-ddpg-coordination-50k", "ddpg", "coordination", 50_000, 0.95, "none", "beside MADDPG",
        statistic="success", options={"team": {"learning": "independent"}},
    ),
    LearningTask(
        "qmix-two-step-game", "qmix", "two_step_game", 20_000, 8.0, "8", PAPER, judged="every seed",
        control="vdn-two-step-game",
    ),
    LearningTask(
        "vdn-two-step-game", "vdn", "two_step_game", 20_000, 7.0, "7", f"the control, a sum ({PAPER})",
        better="lower",
    ),
)  # fmt: skip
