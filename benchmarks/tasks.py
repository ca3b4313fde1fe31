"""What jaxrl is measured on: tables of learning tasks and of speed tasks. Imports nothing heavy."""

from typing import Any, NamedTuple

SEEDS = 10
FIRST_SEED = 1000  # seeds 1000 to 1009 are for judging only: tune on others


class LearningTask(NamedTuple):
    """A training budget and a bar. Scores are of the greedy policy after training."""

    name: str
    algorithm: str
    environment: str
    num_steps: int  # environment steps of one seed, over all rows, warm-up included
    bar: float
    published: str  # the figure to compare with
    source: str  # who published it
    better: str = "higher"  # or "lower": a control, which must stay below its bar
    judged: str = "mean"  # the unfavourable end of its 95 % interval; or "every seed": a plain count
    tolerance: float = 0.0  # how far below the bar a seed may end, of "every seed"
    statistic: str = "return"  # mean return, or a measure of the environment; "exact return" is not sampled
    episodes: int = 100  # of each seed, from start states that all seeds share
    options: dict[str, Any] = {}  # what `jaxrl.train` is told beside the preset
    control: str = ""  # the task that trains the same without the part under test


CORRIDOR: dict[str, Any] = {"environment_options": {"length": 20}}
CHAIN: dict[str, Any] = {"environment_options": {"length": 100}}
BITS: dict[str, Any] = {"environment_options": {"num_bits": 15}}
OPTIMUM = "exact, by dynamic programming"

LEARNING = (
    LearningTask("ppo-cartpole-50k", "ppo", "cartpole", 50_000, 475.0, "500 at 100k (1 run)", "RL Baselines3 Zoo"),
    LearningTask("ppo-cartpole-100k", "ppo", "cartpole", 100_000, 490.0, "490 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask("ppo-acrobot-150k", "ppo", "acrobot", 150_000, -82.0, "-86.4 at 500k (3 seeds)", "CleanRL docs"),
    LearningTask(
        "ppo-pendulum-100k", "ppo", "pendulum", 100_000, -180.0, "-237 at 300k (25 seeds)", "MushroomRL benchmark",
        episodes=1000,
    ),
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
        "recurrent-ppo-t-maze", "ppo", "t_maze", 300_000, 0.95, "none: our target", "a corridor of 20 (Bakker 2002)",
        statistic="success", options=CORRIDOR | {"network": {"cell": "gru"}}, control="feedforward-ppo-t-maze",
    ),
    LearningTask(
        "feedforward-ppo-t-maze", "ppo", "t_maze", 300_000, 0.6, "0.5, a guess", "the control, without a memory",
        better="lower", statistic="success", options=CORRIDOR | {"network": {"cell": None}},
    ),
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


NOTE = "evaluation and callbacks off; seeds under vmap; gradients are clipped by element, episodes cut as if they ended"
PEERS = {"rejax": Peer("Rejax", "peers/rejax.txt", "peers/rejax_worker.py", NOTE)}
FLASHBAX = Peer("flashbax", "peers/flashbax.txt", "peers/flashbax_worker.py", "a flat buffer: pairs of steps")
STEPPER = "peers/suites_worker.py"
SUITES = {
    "gymnax": Peer("gymnax", "peers/gymnax.txt", STEPPER, "its own step with auto-reset, under vmap"),
    "navix": Peer("Navix", "peers/navix.txt", STEPPER, "a reset is a step of its own; a view that walls do not block"),
    "xminigrid": Peer(
        "XLand-MiniGrid", "peers/xminigrid.txt", STEPPER,
        "GymAutoResetWrapper; two layers instead of three; a view that walls do not block",
    ),
    "jaxmarl": Peer("JaxMARL", "peers/jaxmarl.txt", STEPPER, "its own step with auto-reset, under vmap"),
}  # fmt: skip

TANH_64 = {"hidden": [64, 64], "activation": "tanh"}
PPO_LARGE = Settings(
    "ppo", "cartpole", 499_712, 64, 128,
    {
        "num_epochs": 4, "num_minibatches": 4, "learning_rate": 2.5e-3, "discount": 0.99, "trace_decay": 0.95,
        "clip_range": 0.2, "value_clip_range": 0.2, "entropy_coefficient": 0.01, "value_coefficient": 0.5,
        "max_gradient_norm": 0.5,
    },
    TANH_64,
)  # fmt: skip
PPO_SMALL = PPO_LARGE._replace(  # Rejax's own configuration for CartPole
    num_steps=100_000, num_envs=5, rollout_length=100,
    config=PPO_LARGE.config | {"num_epochs": 5, "num_minibatches": 5, "learning_rate": 7.5e-4},
)  # fmt: skip
DQN = Settings(  # Rejax's own configuration for CartPole, with plain Q learning in place of dueling and double
    "dqn", "cartpole", 50_000, 10, 1,
    {
        "gradient_steps": 0.5, "batch_size": 100, "buffer_size": 50_000, "learning_starts": 5_000,
        "learning_rate": 1e-3, "discount": 0.99, "target_period": 5, "target_rate": 0.02, "epsilon_start": 1.0,
        "epsilon_end": 0.05, "epsilon_steps": 25_000.0, "max_gradient_norm": 10.0, "huber_threshold": 1e6,
    },
    {"hidden": [64, 64], "activation": "silu"}, calls=2,
)  # fmt: skip
PQN = Settings(  # Rejax's own configuration for CartPole; it has Adam where we have RAdam
    "pqn", "cartpole", 524_288, 16, 128,
    {
        "num_epochs": 5, "num_minibatches": 16, "learning_rate": 3e-4, "total_updates": 1e9, "discount": 0.99,
        "trace_decay": 0.9, "epsilon_start": 1.0, "epsilon_end": 0.05, "epsilon_steps": 262_144.0,
        "max_gradient_norm": 10.0,
    },
    {"hidden": [64, 64], "activation": "relu", "layer_norm": True},
)  # fmt: skip
FASTER = "steps per second"
COMPILES = Bar("compile seconds", 0.7)
LARGE_8 = PPO_LARGE._replace(num_seeds=8, num_steps=253_952, calls=2)
SMALL_8 = PPO_SMALL._replace(num_seeds=8, calls=2)

SPEED = (
    SpeedTask("ppo-64x128", PPO_LARGE, "rejax", PPO_LARGE, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("ppo-5x100", PPO_SMALL, "rejax", PPO_SMALL, (Bar(FASTER, 1.25), COMPILES)),
    SpeedTask("ppo-64x128-8-seeds", LARGE_8, "rejax", LARGE_8, (Bar(FASTER, 2.5), COMPILES)),
    SpeedTask("ppo-5x100-8-seeds", SMALL_8, "rejax", SMALL_8, (Bar(FASTER, 2.0), COMPILES)),
    SpeedTask("dqn-buffer-50k", DQN, "rejax", DQN, (Bar(FASTER, 3.0), COMPILES)),
    SpeedTask("pqn-16x128", PQN, "rejax", PQN, (Bar(FASTER, 1.5), COMPILES)),
    SpeedTask(
        "dqn-buffer-1m", DQN._replace(config=DQN.config | {"buffer_size": 1_000_000}), "jaxrl", DQN,
        (Bar(FASTER, 1 / 1.3),),
    ),
    StartTask("second-start", ("train", "ppo", "cartpole"), 1.0),
    RepeatTask("32-seeds-end", PPO_SMALL._replace(num_seeds=32, num_steps=5_000, calls=1), 20, 120.0, 20),
)  # fmt: skip

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
GROUPS = {"training": tuple(task.name for task in SPEED), "envs": tuple(task.name for task in WORLDS)}
GROUPS["replay"] = tuple(task.name for task in REPLAY)
