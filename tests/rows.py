"""What a row of the contract table of agents says."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl import envs
from jaxrl.agents.curiosity import Config as Curiosity
from jaxrl.agents.teams import Config as Team
from jaxrl.networks import Settings
from jaxrl.types import Environment


class Row(NamedTuple):
    """An algorithm in one of its forms, as small as it can be."""

    algorithm: str
    make: Callable[[], Environment]
    config: dict[str, Any] = {}
    network: Settings = Settings(hidden=(8,))
    num_envs: int = 4
    rollout_length: int = 6
    curiosity: Curiosity = Curiosity()
    team: Team = Team()
    slow: bool = False  # what it combines, other rows show one by one: it runs with -m slow


def world(name: str, **options: Any) -> Callable[[], Environment]:
    return lambda: envs.make(name, **options)
