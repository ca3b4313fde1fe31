"""Which parts a configuration of DDPG or SAC asks for, and the algorithms that are one of the two with other parts."""

from jaxrl import networks, spaces
from jaxrl.action_networks import action_value, bounds, policy, without_memory
from jaxrl.agents import ddpg, sac
from jaxrl.agents.algorithm import Algorithm
from jaxrl.agents.replay import replay
from jaxrl.types import Agent, Environment
from jaxrl.value_networks import q_network


def _ddpg(env: Environment, settings: networks.Settings, config: ddpg.Config) -> Agent:
    """DDPG and TD3, for a Box."""
    actor = policy(settings, bounds(env.action_space).size)
    memory = replay(env, config, config.policy_delay)
    return ddpg.ddpg(actor, action_value(settings), env.action_space, config, memory)


def _sac(env: Environment, settings: networks.Settings, config: sac.Config) -> Agent:
    """SAC, for a Box or a Discrete space."""
    if isinstance(env.action_space, spaces.Discrete):
        without_memory(settings)
        actor, critic = policy(settings, env.action_space.n), q_network(settings, env.action_space.n)
    else:
        actor, critic = policy(settings, 2 * bounds(env.action_space).size), action_value(settings)
    return sac.sac(actor, critic, env.action_space, config, replay(env, config))


FAMILY = {
    "ddpg": Algorithm(ddpg.Config, _ddpg, action_spaces=(spaces.Box,)),
    "td3": Algorithm(
        ddpg.Config, _ddpg, action_spaces=(spaces.Box,),
        about="TD3 (Fujimoto et al. 2018): DDPG with twin critics, a delayed policy and smoothed targets.",
        defaults={
            "num_critics": 2, "policy_delay": 2, "target_noise": 0.2, "exploration_noise": 0.1, "noise_reversion": 1.0,
        },
    ),
    "sac": Algorithm(sac.Config, _sac, action_spaces=(spaces.Box,)),
    "sac_discrete": Algorithm(
        sac.Config, _sac, action_spaces=(spaces.Discrete,),
        about="SAC for discrete actions (Christodoulou 2019): expectations over all actions in place of draws.",
        defaults={"target_entropy": 0.5},
    ),
}  # fmt: skip
