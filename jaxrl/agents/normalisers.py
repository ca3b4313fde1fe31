"""Running normalisers of observations and rewards: part of the agent's state, so that evaluation finds them frozen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import statistics
from jaxrl.types import Array, Observation, Timestep, Transition


class Normalisers(NamedTuple):
    """Running statistics; a part that is off is (). They change at the end of `learn` and never in between."""

    observations: Any = ()  # RunningMoments of the features
    returns: Any = ()  # RunningMoments of the discounted return, whose deviation scales rewards
    discounted_return: Any = ()  # [N] up to the last rollout's end


def running(timestep: Timestep, observations: bool, rewards: bool) -> Normalisers:
    reward = jnp.zeros_like(timestep.reward)
    return Normalisers(
        statistics.init(jax.tree.map(lambda x: x[0], timestep.obs.features)) if observations else (),
        statistics.init(reward[0]) if rewards else (),
        reward if rewards else (),
    )


def normalise(state: Normalisers, obs: Observation) -> Observation:
    """Features to mean 0 and deviation 1, within +-10."""
    if state.observations == ():
        return obs
    return obs._replace(features=statistics.normalise(state.observations, obs.features))


def scale_rewards(state: Normalisers, steps: Transition, discount: Array | float) -> tuple[Array, Normalisers]:
    """Rewards [T, N] over the deviation of the discounted return, within +-10, and the state to use from now on."""
    features = steps.obs.features
    observations = state.observations
    if observations != ():
        observations = statistics.update(observations, features, steps.valid)
    if state.returns == ():
        return steps.reward, Normalisers(observations)

    def accumulate(total: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, first = step
        total = jnp.where(first, 0.0, total) * discount + reward
        return total, total

    last, totals = jax.lax.scan(accumulate, state.discounted_return, (steps.reward, steps.first))
    scaled = jnp.clip(steps.reward / statistics.deviation(state.returns), -10.0, 10.0)
    return scaled, Normalisers(observations, statistics.update(state.returns, totals, steps.valid), last)
