"""What a learning task says."""

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
    exceptions: int = 0  # seeds that may stay below the bar, of "every seed"
    tolerance: float = 0.0  # how far below the bar a seed may end, of "every seed"
    statistic: str = "return"  # mean return, or a measure of the environment; "exact return" is not sampled
    episodes: int = 100  # of each seed, from start states that all seeds share
    options: dict[str, Any] = {}  # what `jaxrl.train` is told beside the preset
    num_seeds: int = SEEDS  # fewer for what takes hours
    control: str = ""  # the task that trains the same without the part under test
