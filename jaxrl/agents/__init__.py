"""The registry of algorithms: how each is built for an environment, and which values its config may take."""

import math
from typing import Any

from jaxrl import networks, spaces, transforms, value_networks
from jaxrl.agents import (
    continuous_family,
    curiosity,
    dqn,
    dqn_family,
    policy_family,
    pqn,
    r2d2,
    random,
    tabular,
    team_family,
    teams,
)
from jaxrl.agents.algorithm import Algorithm
from jaxrl.buffers.sequence import sequence
from jaxrl.errors import UsageError, unknown
from jaxrl.types import Agent, Environment


def _random(env: Environment, settings: networks.Settings, config: random.Config) -> Agent:
    return random.random(env.action_space, config)


def _tabular(named: tabular.Named) -> Algorithm:
    def make(env: Environment, settings: networks.Settings, config: Any) -> Agent:
        return named.constructor(env.observation_space, env.action_space, config)

    return Algorithm(named.config, make, True, (spaces.Discrete,), named.defaults, named.about)


def _dqn(env: Environment, settings: networks.Settings, config: dqn.Config) -> Agent:
    parts = dqn_family.parts(env, settings, config)
    return dqn.dqn(parts.network, env.action_space, config, parts.buffer, parts.head, parts.backup)


def _r2d2(env: Environment, settings: networks.Settings, config: r2d2.Config) -> Agent:
    aggregate = value_networks.AGGREGATIONS["mean"] if config.dueling else None
    network = value_networks.q_network(settings, env.action_space.n, aggregate=aggregate)
    length = config.burn_in + config.length
    memory = sequence(
        config.buffer_size, config.batch_size, length, config.stride, config.learning_starts,
        priority_exponent=0.9 if config.prioritized else None,
    )  # fmt: skip
    return r2d2.r2d2(network, env.action_space, config, memory)


def _pqn(env: Environment, settings: networks.Settings, config: pqn.Config) -> Agent:
    return pqn.pqn(value_networks.q_network(settings, env.action_space.n), env.action_space, config)


ALGORITHMS = {
    "random": Algorithm(random.Config, _random, tabular=True),
    **{name: _tabular(named) for name, named in tabular.AGENTS.items()},
    **{
        name: Algorithm(dqn.Config, _dqn, action_spaces=(spaces.Discrete,), defaults=defaults, about=about)
        for name, (about, defaults) in dqn_family.FAMILY.items()
    },
    **policy_family.FAMILY,
    **continuous_family.FAMILY,
    **team_family.FAMILY,
    "r2d2": Algorithm(r2d2.Config, _r2d2, action_spaces=(spaces.Discrete,)),
    "pqn": Algorithm(pqn.Config, _pqn, action_spaces=(spaces.Discrete,)),
}

_RANGES = {  # the closed interval of every number that a config can hold, by its name
    "num_epochs": (1, math.inf), "num_minibatches": (1, math.inf), "chunk_length": (1, math.inf),
    "buffer_size": (1, math.inf), "batch_size": (1, math.inf), "learning_starts": (1, math.inf),
    "backup_steps": (1, math.inf), "num_atoms": (2, math.inf),
    "num_quantiles": (1, math.inf), "value_low": (-math.inf, math.inf), "value_high": (-math.inf, math.inf),
    "priority_exponent": (0, math.inf), "importance_start": (0, 1), "importance_updates": (1, math.inf),
    "munchausen": (0, 1), "munchausen_low": (-math.inf, 0), "target_period": (1, math.inf),
    "learning_rate": (0, math.inf), "learning_rate_decay": (0, math.inf),
    "total_updates": (1, math.inf), "discount": (0, 1), "trace_decay": (0, 1), "clip_range": (0, math.inf),
    "length": (1, math.inf), "burn_in": (0, math.inf), "stride": (1, math.inf), "eta": (0, 1),
    "mixing_size": (1, math.inf),
    "value_clip_range": (0, math.inf), "entropy_coefficient": (0, math.inf), "value_coefficient": (0, math.inf),
    "delay": (0, math.inf), "max_rho": (0, math.inf), "max_c": (0, math.inf), "cg_steps": (1, math.inf),
    "search_steps": (1, math.inf), "damping": (0, math.inf), "shrink": (0, 1),
    "entropy_end": (0, math.inf), "entropy_span": (1e-6, math.inf), "kl_target": (0, math.inf),
    "auxiliary_coefficient": (0, math.inf),
    "max_gradient_norm": (0, math.inf), "gradient_steps": (0, math.inf), "target_rate": (0, 1),
    "planning_steps": (0, math.inf), "time_bonus": (0, math.inf), "lowest_priority": (0, math.inf),
    "average_step": (0, math.inf), "tiles": (1, math.inf), "tilings": (1, math.inf),
    "exploration_decay": (0, math.inf), "temperature": (1e-6, math.inf), "bonus": (0, math.inf),
    "coefficient": (0, math.inf), "num_features": (1, math.inf),
    "epsilon": (0, 1), "epsilon_start": (0, 1), "epsilon_end": (0, 1), "epsilon_steps": (1, math.inf),
    "num_critics": (1, math.inf), "policy_delay": (1, math.inf), "exploration_noise": (0, math.inf),
    "noise_reversion": (0, 1), "warm_up_hold": (1, math.inf), "target_noise": (0, math.inf),
    "target_noise_clip": (0, math.inf), "output_penalty": (0, math.inf), "target_entropy": (-math.inf, math.inf),
    "reward_scale": (0, math.inf), "huber_threshold": (0, math.inf), "initial_value": (-math.inf, math.inf),
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
        if value is None or isinstance(value, bool | str | tuple):  # (whoever reads a text knows what it may be)
            continue
        low, high = _RANGES[name]
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}, expected a number from {low} to {high}")


def adapt(name: str, env: Environment, network: networks.Settings = networks.Settings()) -> Environment:
    """The environment as this algorithm reads it, unless it is tabular.

    Discrete observations are one-hot; all others, dictionaries among them, are one vector, unless the network has
    convolutions for them, and are rescaled where the network says so.
    """
    if algorithm(name).tabular:
        return env
    if isinstance(env.observation_space, spaces.Discrete | spaces.MultiDiscrete):
        return transforms.one_hot(env)
    num_axes = len(env.observation_space.shape) if isinstance(env.observation_space, spaces.Box) else None
    if network.channels and num_axes != 3:
        raise UsageError(
            f"channels is {network.channels}, but convolutions need observations in one Box [height, width, channels],"
            f" got {env.observation_space}: set channels to nothing"
        )
    env = env if num_axes == 1 or network.channels else transforms.flatten(env)
    return transforms.rescale(env, network.reach) if network.reach else env


def make(
    name: str, env: Environment, settings: networks.Settings = networks.Settings(), config: Any = None,
    curious: curiosity.Config = curiosity.Config(), team: teams.Config = teams.Config(),
) -> Agent:  # fmt: skip
    """An agent for an (adapted) environment, or a team of it; a config of None is the algorithm's default one."""
    chosen = algorithm(name)
    config = default_config(name) if config is None else config
    validate(config)
    if not isinstance(env.action_space, chosen.action_spaces):
        wanted = " or ".join(kind.__name__ for kind in chosen.action_spaces)
        raise UsageError(f"{name} needs a {wanted} action space, but the environment has {env.action_space}")
    single, options = env.num_agents is None, team != teams.Config()
    if single and (chosen.team or chosen.central or options):
        what = f"team is {team._asdict()}" if options else f"{name} plays a team"
        raise UsageError(f"{what}, but the environment has a single agent: expected one of several")
    if chosen.team and (curious.bonus is not None or options):
        raise UsageError(f"{name} is a team of its own: expected neither curiosity nor options of a team")
    config = config if chosen.team else teams.per_actor(config, team, env.num_agents or 1)
    agent = chosen.make(env, settings, config)
    agent = agent if curious.bonus is None else curiosity.around(agent, env, settings, curious)
    return agent if single or chosen.team else teams.of(agent, env, team, chosen.central)
