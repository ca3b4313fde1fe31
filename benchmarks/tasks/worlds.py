"""Timed stepping, and timed replay."""

from tasks.speed import Bar, Replaying, ReplayTask, Stepping, SteppingTask

PAIR, EVERY = (1024, 16384), (256, 1024, 4096, 16384)  # the peer is judged at its best number of rows
AT_PAIR = tuple(f"steps per second, {count:,} rows" for count in PAIR)
AT_BEST = "steps per second, the peer's best rows"
SCALES = Bar("steps per second, 16,384 rows / 1,024", 0.9)  # ours alone
COMPILES_SOONER = Bar("compile seconds", 1.0)


def classic(name: str, peers: str, shortest: int, few: float, many: float) -> SteppingTask:
    """Dynamics that are gymnax's on both sides, at two numbers of rows."""
    ours, theirs = Stepping(name, {}, PAIR, 1_000_000, shortest), Stepping(peers, {}, PAIR, 1_000_000, suite="gymnax")
    bars = (Bar(AT_PAIR[0], few), Bar(AT_PAIR[1], many), SCALES, COMPILES_SOONER)
    return SteppingTask(f"{name}-gymnax", ours, theirs, bars)


def grid(name: str, suite: str, peers: str, view: str, bar: float, shortest: int) -> SteppingTask:
    """A room of 8x8 cells on both sides, with the same kind of view."""
    options = {"view": view}
    ours = Stepping(f"minigrid_{name}", options | {"size": 8}, EVERY, 1_000_000, shortest)
    theirs = Stepping(peers, options, EVERY, 200_000, suite=suite)
    bars = (Bar(AT_BEST, bar), SCALES, COMPILES_SOONER)
    return SteppingTask(f"{name.replace('_', '-')}-{view}-{suite}", ours, theirs, bars)


# Starts are drawn when rows end (`shortest` 0) where that is faster: all rows end on one step, or a start is cheap.
WORLDS = (
    classic("cartpole", "CartPole-v1", 8, 2.0, 1.5),
    classic("pendulum", "Pendulum-v1", 0, 2.0, 1.5),
    classic("mountain_car", "MountainCar-v0", 0, 2.0, 1.5),
    classic("acrobot", "Acrobot-v1", 0, 1.2, 1.2),
    classic("breakout", "Breakout-MinAtar", 0, 1.2, 1.2),
    *(grid("empty", "navix", "Navix-Empty-8x8-v0", view, 3.0, 0) for view in ("symbolic", "egocentric")),
    *(
        grid("door_key", suite, peers, view, 10.0 if view == "none" else 5.0, 5)
        for suite, peers in (("navix", "Navix-DoorKey-8x8-v0"), ("xminigrid", "MiniGrid-DoorKey-8x8"))
        for view in ("symbolic", "egocentric", "none")
    ),
    SteppingTask(
        "simple-spread-jaxmarl", Stepping("simple_spread", {}, EVERY, 500_000),
        Stepping("MPE_simple_spread_v3", {}, EVERY, 200_000, suite="jaxmarl"),
        (Bar(AT_BEST, 10.0), SCALES, COMPILES_SOONER),
    ),
)  # fmt: skip
SMALL_RING, LARGE_RING = 9_984, 1_000_000  # transitions; whole numbers of blocks of 64
ITERATES = Bar("iterations per second, 1,000,000 transitions", 1.5)
COMPACT = Bar("bytes per transition, ends apart", 1.0)
GROWS = Bar("microseconds, 1,000,000 / 9,984 transitions", 1.3)  # ours alone
RINGS = (SMALL_RING, LARGE_RING)
REPLAY = (
    ReplayTask("replay-uniform", Replaying("uniform", RINGS), (ITERATES, COMPACT, GROWS)),
    ReplayTask(
        "replay-prioritized", Replaying("prioritized", RINGS),
        (ITERATES._replace(ratio=2.0), COMPACT, GROWS._replace(ratio=1.5)),  # like log C: 6 / 4
    ),
)  # fmt: skip
