"""What the registry says of an algorithm."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl import networks, spaces
from jaxrl.types import Agent, Environment


class Algorithm(NamedTuple):
    config: type  # a NamedTuple; its `float` fields are traced hyper-parameters, all others shape the program
    make: Callable[[Environment, networks.Settings, Any], Agent]
    tabular: bool = False  # reads a discrete observation as it is; the others get it one-hot
    action_spaces: tuple[type, ...] = (spaces.Discrete, spaces.MultiDiscrete, spaces.Box)
    defaults: dict[str, Any] = {}  # what differs from the config's own: one file serves several algorithms
    about: str = ""  # in one line, where that is not the first of the module that holds the config
    central: bool = False  # reads the state of its team while it learns: obs.state
    team: bool = False  # plays all agents of a world itself
