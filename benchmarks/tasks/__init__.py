"""What jaxrl is measured on: tables of learning tasks and of speed tasks. Imports nothing heavy."""

from tasks import continuous, exploring, policies, tabular, teams, values
from tasks.learning import FIRST_SEED, SEEDS, LearningTask
from tasks.peers import FLASHBAX, PEERS, SUITES
from tasks.speed import (
    Bar,
    Peer,
    RepeatTask,
    Replaying,
    ReplayTask,
    Settings,
    SpeedTask,
    StartTask,
    Stepping,
    SteppingTask,
)
from tasks.training import COMPILES, FASTER, SOONER, SPEED
from tasks.worlds import (
    AT_BEST,
    AT_PAIR,
    COMPACT,
    COMPILES_SOONER,
    GROWS,
    LARGE_RING,
    PAIR,
    REPLAY,
    RINGS,
    SCALES,
    WORLDS,
)  # fmt: skip

__all__ = [
    "AT_BEST", "AT_PAIR", "Bar", "COMPACT", "COMPILES", "COMPILES_SOONER", "FASTER", "FIRST_SEED", "FLASHBAX", "GROUPS",
    "GROWS", "LARGE_RING", "LEARNING", "LearningTask", "PAIR", "PEERS", "Peer", "REPLAY", "RINGS", "RepeatTask",
    "ReplayTask", "Replaying", "SCALES", "SEEDS", "SOONER", "SPEED", "SUITES", "Settings", "SpeedTask", "StartTask",
    "Stepping", "SteppingTask", "WORLDS",
]  # fmt: skip

LEARNING = policies.TASKS + continuous.TASKS + exploring.TASKS + values.TASKS + tabular.TASKS + teams.TASKS
GROUPS = {"training": tuple(task.name for task in SPEED), "envs": tuple(task.name for task in WORLDS)}
GROUPS["replay"] = tuple(task.name for task in REPLAY)
