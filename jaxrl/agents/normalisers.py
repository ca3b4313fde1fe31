"""Running normalisers of observations, rewards, values: part of the agent's state, so evaluation finds them frozen."""

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
    values: Any = ()  # RunningMoments of the targets of the value


def running(timestep: Timestep, observations: bool, rewards: bool, values: bool = False) -> Normalisers:
    reward = jnp.zeros_like(timestep.reward)
    return Normalisers(
        statistics.init(jax.tree.map(lambda x: x[0], timestep.obs.features)) if observations else (),
        statistics.init(reward[0]) if rewards else (),
        reward if rewards else (),
        statistics.init(reward[0]) if values else (),
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
        return steps.reward, state._replace(observations=observations)

    def accumulate(total: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, first = step
        total = jnp.where(first, 0.0, total) * discount + reward
        return total, total

    last, totals = jax.lax.scan(accumulate, state.discounted_return, (steps.reward, steps.first))
    scaled = jnp.clip(steps.reward / statistics.deviation(state.returns), -10.0, 10.0)
    moments = statistics.update(state.returns, totals, steps.valid)
    return scaled, state._replace(observations=observations, returns=moments, discounted_return=last)


def unscale_values(state: Normalisers, values: Array) -> Array:
    """Values [...] as the network says them, in units of the returns."""
    return values if state.values == () else state.values.mean + statistics.deviation(state.values) * values


def scale_values(state: Normalisers, targets: Array, valid: Array) -> tuple[Array, Normalisers]:
    """Targets [T, N] as the network should say them, themselves counted, and the state to use from now on."""
    if state.values == ():
        return targets, state
    moments = statistics.update(state.values, targets, valid)
    return (targets - moments.mean) / statistics.deviation(moments), state._replace(values=moments)
