"""On-policy agents by name: how each is built from an environment, the shape of its network and its config."""

import math
from collections.abc import Callable
from typing import Any

from jaxrl import distributions, networks
from jaxrl.agents import actor_critic, auxiliary, impala, ppo, reinforce, trpo
from jaxrl.agents.algorithm import Algorithm
from jaxrl.errors import UsageError
from jaxrl.network_transforms import with_central_critic
from jaxrl.types import Agent, Environment


def _over(constructor: Callable[..., Agent]) -> Callable[[Environment, networks.Settings, Any], Agent]:
    """What makes an agent over an actor-critic network."""

    def make(env: Environment, settings: networks.Settings, config: Any) -> Agent:
        head = distributions.head(env.action_space)
        network = networks.actor_critic(settings, head.num_outputs, head.num_free)
        return constructor(network, env.action_space, config)

    return make


def make_ppo(env: Environment, settings: networks.Settings, config: ppo.Config, central: bool = False) -> Agent:
    """PPO, or with a central critic the actor of a team."""
    head = distributions.head(env.action_space)
    task = auxiliary.tasks(config.auxiliary, env) if config.auxiliary else None
    network = networks.actor_critic(settings, head.num_outputs, head.num_free, task.num_outputs if task else 0)
    network = with_central_critic(network) if central else network
    return ppo.ppo(network, env.action_space, config, task=task)


def _trpo(env: Environment, settings: networks.Settings, config: trpo.Config) -> Agent:
    if settings.normalisation == "batch":
        raise UsageError("normalisation is batch, whose gradient trpo cannot differentiate again: set it to layer")
    return _over(trpo.trpo)(env, settings, config)


_A2C = {
    "num_epochs": 1, "num_minibatches": 1, "standardise": False, "clip_range": math.inf, "value_clip_range": math.inf,
    "learning_rate": 7e-4, "trace_decay": 1.0,
}  # fmt: skip
_CONTINUING = {"traces": True, "discount": 1.0, "average_step": 1.0}

FAMILY = {
    "ppo": Algorithm(ppo.Config, make_ppo),
    "a2c": Algorithm(
        ppo.Config, make_ppo, defaults=_A2C,
        about="Advantage actor-critic (Mnih et al. 2016): PPO's loop without its epochs."
    ),
    "reinforce": Algorithm(reinforce.Config, _over(reinforce.reinforce)),
    "reinforce_baseline": Algorithm(
        reinforce.Config, _over(reinforce.reinforce), defaults={"baseline": True},
        about="REINFORCE with a learned baseline (Williams 1992).",
    ),
    "actor_critic": Algorithm(actor_critic.Config, _over(actor_critic.actor_critic)),
    "actor_critic_lambda": Algorithm(
        actor_critic.Config, _over(actor_critic.actor_critic), defaults={"traces": True},
        about="Actor-critic with eligibility traces (Sutton and Barto 2018, 13.5).",
    ),
    "differential_actor_critic": Algorithm(
        actor_critic.Config, _over(actor_critic.actor_critic), defaults=_CONTINUING,
        about="Actor-critic for the average reward of continuing tasks (Sutton and Barto 2018, 13.6).",
    ),
    "impala": Algorithm(impala.Config, _over(impala.impala)),
    "trpo": Algorithm(trpo.Config, _trpo),
}  # fmt: skip
