"""The registry of algorithms: how each is built for an environment, and which values its config may take."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl import distributions, networks, spaces, transforms
from jaxrl.agents import dqn, ppo, q_learning, random
from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError, unknown
from jaxrl.types import Agent, Environment


class Algorithm(NamedTuple):
    config: type  # a NamedTuple; its `float` fields are traced hyper-parameters, all others shape the program
    make: Callable[[Environment, networks.Settings, Any], Agent]
    tabular: bool = False  # reads a discrete observation as it is; the others get it one-hot
    action_spaces: tuple[type, ...] = (spaces.Discrete, spaces.MultiDiscrete, spaces.Box)
    defaults: dict[str, Any] = {}  # what differs from the config's own: one file serves several algorithms


def _random(env: Environment, settings: networks.Settings, config: random.Config) -> Agent:
    return random.random(env.action_space, config)


def _q_learning(env: Environment, settings: networks.Settings, config: q_learning.Config) -> Agent:
    return q_learning.q_learning(env.observation_space, env.action_space, config)


def _dqn(env: Environment, settings: networks.Settings, config: dqn.Config) -> Agent:
    memory = uniform(config.buffer_size, config.batch_size, config.learning_starts)
    return dqn.dqn(networks.q_network(settings, env.action_space.n), env.action_space, config, memory)


def _ppo(env: Environment, settings: networks.Settings, config: ppo.Config) -> Agent:
    head = distributions.head(env.action_space)
    network = networks.actor_critic(settings, head.num_outputs, head.num_free)
    return ppo.ppo(network, env.action_space, config)


ALGORITHMS = {
    "random": Algorithm(random.Config, _random, tabular=True),
    "q_learning": Algorithm(q_learning.Config, _q_learning, tabular=True, action_spaces=(spaces.Discrete,)),
    "dqn": Algorithm(dqn.Config, _dqn, action_spaces=(spaces.Discrete,)),
    "ppo": Algorithm(ppo.Config, _ppo),
}

_RANGES = {  # the closed interval of every number that a config can hold, by its name
    "num_epochs": (1, math.inf), "num_minibatches": (1, math.inf), "chunk_length": (1, math.inf),
    "buffer_size": (1, math.inf), "batch_size": (1, math.inf), "learning_starts": (1, math.inf),
    "target_period": (1, math.inf), "learning_rate": (0, math.inf), "learning_rate_decay": (0, math.inf),
    "total_updates": (1, math.inf), "discount": (0, 1), "trace_decay": (0, 1), "clip_range": (0, math.inf),
    "value_clip_range": (0, math.inf), "entropy_coefficient": (0, math.inf), "value_coefficient": (0, math.inf),
    "max_gradient_norm": (0, math.inf), "gradient_steps": (0, math.inf), "target_rate": (0, 1),
    "epsilon": (0, 1), "epsilon_start": (0, 1), "epsilon_end": (0, 1), "epsilon_steps": (1, math.inf),
    "huber_threshold": (0, math.inf), "initial_value": (-math.inf, math.inf),
}  # fmt: skip


def names() -> list[str]:
    return sorted(ALGORITHMS)


def algorithm(name: str) -> Algorithm:
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def default_config(name: str) -> Any:
    chosen = algorithm(name)
    return chosen.config(**chosen.defaults)


def validate(config: Any) -> None:
    """Raise UsageError for a value out of its range (on the host: a config under vmap is never checked)."""
    for name, value in config._asdict().items():
        if isinstance(value, bool):
            continue
        low, high = _RANGES[name]
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}, expected a number from {low} to {high}")


def adapt(name: str, env: Environment, network: networks.Settings = networks.Settings()) -> Environment:
    """The environment as this algorithm reads it, unless it is tabular.

    Discrete observations are one-hot; all others are one vector, unless the network has convolutions for them.
    """
    if algorithm(name).tabular:
        return env
    if isinstance(env.observation_space, spaces.Discrete | spaces.MultiDiscrete):
        return transforms.one_hot(env)
    vector = isinstance(env.observation_space, spaces.Box) and len(env.observation_space.shape) == 1
    return env if vector or network.channels else transforms.flatten(env)


def make(name: str, env: Environment, settings: networks.Settings = networks.Settings(), config: Any = None) -> Agent:
    """An agent for an (adapted) environment; a config of None is the algorithm's default one."""
    chosen = algorithm(name)
    config = default_config(name) if config is None else config
    validate(config)
    if not isinstance(env.action_space, chosen.action_spaces):
        wanted = " or ".join(kind.__name__ for kind in chosen.action_spaces)
        raise UsageError(f"{name} needs a {wanted} action space, but the environment has {env.action_space}")
    return chosen.make(env, settings, config)
