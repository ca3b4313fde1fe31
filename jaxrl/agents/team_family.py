"""Algorithms of teams: which learn centrally and act on their own, and how each is built from an environment."""

import functools

from jaxrl import networks, spaces
from jaxrl.action_networks import action_value, policy
from jaxrl.agents import coma, continuous_family, ddpg, exploration, maddpg, policy_family, ppo, qmix
from jaxrl.agents.algorithm import Algorithm
from jaxrl.agents.replay import replay
from jaxrl.buffers.sequence import sequence
from jaxrl.errors import UsageError
from jaxrl.mixers import mixer
from jaxrl.types import Agent, Environment
from jaxrl.value_networks import q_network


def _maddpg(env: Environment, settings: networks.Settings, config: ddpg.Config) -> Agent:
    if config.hindsight is not None:
        raise UsageError(f"hindsight is {config.hindsight}, but a team has no goals of its own: set it to none")
    actor = policy(settings, exploration.kind(env.action_space).size)
    memory = replay(env, config, config.policy_delay)
    return maddpg.maddpg(actor, action_value(settings), env.action_space, env.num_agents or 1, config, memory)


def _qmix(env: Environment, settings: networks.Settings, config: qmix.Config) -> Agent:
    if settings.channels:
        raise UsageError(f"channels is {settings.channels}, but a team reads vectors: set channels to nothing")
    network, mix = q_network(settings, env.action_space.n), mixer(config.mixing, config.mixing_size)
    memory = sequence(config.buffer_size, config.batch_size, config.length, 1, config.learning_starts)
    return qmix.qmix(network, mix, env.action_space, env.num_agents or 1, config, memory)


def _coma(env: Environment, settings: networks.Settings, config: coma.Config) -> Agent:
    n = env.action_space.n
    actor = networks.build(settings, lambda mlp: mlp(n, output_scale=0.01))
    critic = networks.build(settings._replace(cell=None, cell_memory=0), lambda mlp: mlp(n))
    return coma.coma(actor, critic, env.action_space, config)


FAMILY = {
    "mappo": Algorithm(
        ppo.Config, functools.partial(policy_family.make_ppo, central=True), defaults={"normalise_values": True},
        central=True, about="Multi-agent PPO (Yu et al. 2022): the value of a team's PPO sees the state of the world.",
    ),
    "maddpg": Algorithm(
        ddpg.Config, _maddpg, action_spaces=(spaces.Box, spaces.Discrete), team=True,
        about="Multi-agent DDPG (Lowe et al. 2017): each critic sees what all agents see and do.",
    ),
    "matd3": Algorithm(
        ddpg.Config, _maddpg, action_spaces=(spaces.Box, spaces.Discrete), team=True,
        defaults=continuous_family.FAMILY["td3"].defaults,
        about="MATD3 (Ackermann et al. 2019): MADDPG with twin critics, a delayed policy and smoothed targets.",
    ),
    "coma": Algorithm(coma.Config, _coma, action_spaces=(spaces.Discrete,), team=True),
    "vdn": Algorithm(
        qmix.Config, _qmix, action_spaces=(spaces.Discrete,), team=True, defaults={"mixing": "sum"},
        about="Value decomposition networks (Sunehag et al. 2018): the team's value is the sum of the agents'.",
    ),
    "qmix": Algorithm(
        qmix.Config, _qmix, action_spaces=(spaces.Discrete,), team=True,
        about="QMIX (Rashid et al. 2018): the team's value rises with that of every agent.",
    ),
}  # fmt: skip
