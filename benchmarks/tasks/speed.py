"""What a speed task says."""

from typing import Any, NamedTuple


class Settings(NamedTuple):
    """One timed training, in jaxrl's words; every worker takes it as JSON and reports in the same words."""

    algorithm: str
    environment: str
    num_steps: int  # of one seed; a whole number of updates
    num_envs: int
    rollout_length: int
    config: dict[str, Any]
    network: dict[str, Any]
    num_seeds: int = 1
    seed: int = 0
    calls: int = 3  # timed calls in one process, after an untimed one


class Bar(NamedTuple):
    metric: str  # "steps per second" (higher is better) or "compile seconds" (lower is better)
    ratio: float  # ours / the peer's


class SpeedTask(NamedTuple):
    """The same settings on two sides, which run in turn, each in its own process."""

    name: str
    ours: Settings
    peer: str  # a key of PEERS, or "jaxrl": ourselves with other settings
    theirs: Settings
    bars: tuple[Bar, ...]


class StartTask(NamedTuple):
    """The same command line twice, with one empty cache folder: seconds of compilation in the second start."""

    name: str
    command: tuple[str, ...]
    bar: float


class RepeatTask(NamedTuple):
    """The same training many times: how many runs end before their time is up."""

    name: str
    settings: Settings
    runs: int
    seconds: float  # for each run
    bar: int


class Peer(NamedTuple):
    name: str
    requirements: str  # pinned, and installed into a virtual environment of its own
    worker: str
    note: str


class Stepping(NamedTuple):
    """Random play in many rows that reset themselves, timed in one process."""

    environment: str
    options: dict[str, Any]
    rows: tuple[int, ...]  # each is timed on its own
    steps: int  # of one call, over all rows
    shortest: int = 0  # no episode has fewer steps; 0: not known, so that starts are drawn when rows end
    suite: str = ""  # a key of SUITES; "": jaxrl
    calls: int = 5  # timed calls, after an untimed one


class SteppingTask(NamedTuple):
    """Two sides that step, in turn, each in its own process."""

    name: str
    ours: Stepping
    theirs: Stepping
    bars: tuple[Bar, ...]


class Replaying(NamedTuple):
    """Adding to a full buffer and dealing from it, timed in one process at each capacity."""

    kind: str  # "uniform" or "prioritized"; with priorities they are set as well
    capacities: tuple[int, ...]
    add: int = 64  # transitions, one of each row
    batch: int = 256
    calls: int = 100  # timed ones, of 100 iterations each


class ReplayTask(NamedTuple):
    """The same buffer on two sides, which run in turn, each in its own process."""

    name: str
    settings: Replaying
    bars: tuple[Bar, ...]
