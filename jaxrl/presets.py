"""The table of presets: settings that are known to work, by (algorithm, environment), each with its source.

An environment of None is the algorithm's default. Everything that a row leaves out is the default of the algorithm's
configuration and of the network.
"""

from typing import Any, NamedTuple

from jaxrl.errors import unknown


class Preset(NamedTuple):
    source: str
    num_steps: int  # environment steps over all environments
    num_envs: int
    rollout_length: int
    config: dict[str, Any] = {}
    network: dict[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """The part that settings are made of."""
        return {name: value for name, value in self._asdict().items() if name != "source"}


PRESETS: dict[tuple[str, str | None], Preset] = {
    ("random", None): Preset("no learning", num_steps=100_000, num_envs=8, rollout_length=128),
    ("q_learning", None): Preset("Watkins 1989", num_steps=500_000, num_envs=64, rollout_length=16),
    ("dqn", None): Preset("Mnih et al. 2015, for classic control", num_steps=50_000, num_envs=8, rollout_length=5),
    ("ppo", None): Preset("Schulman et al. 2017, table 3", num_steps=1_000_000, num_envs=8, rollout_length=128),
    ("ppo", "cartpole"): Preset(
        "tuned here", num_steps=50_000, num_envs=8, rollout_length=32,
        config={
            "num_epochs": 20, "num_minibatches": 1, "learning_rate": 2e-3, "discount": 0.99, "trace_decay": 0.9,
        },
    ),
}  # fmt: skip


def preset(algorithm: str, environment: str) -> Preset:
    """The row of (algorithm, environment), or the algorithm's default."""
    default = PRESETS.get((algorithm, None))
    row = PRESETS.get((algorithm, environment), default)
    if row is None:
        raise unknown("algorithm", algorithm, sorted({name for name, _ in PRESETS}))
    return row
