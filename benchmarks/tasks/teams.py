"""Learning tasks of teams."""

from tasks.learning import LearningTask

PAPER = "Rashid et al. 2018, table 1"

TASKS = (
    LearningTask(
        "qmix-two-step-game", "qmix", "two_step_game", 20_000, 8.0, "8", PAPER, judged="every seed", tolerance=1e-3,
        control="vdn-two-step-game",
    ),
    LearningTask(
        "vdn-two-step-game", "vdn", "two_step_game", 20_000, 7.0, "7", f"the control, a sum ({PAPER})",
        better="lower",
    ),
)  # fmt: skip
