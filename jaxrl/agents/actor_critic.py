"""Online actor-critic (Sutton and Barto 2018, 13.5 and 13.6): of one step, with eligibility traces, or for the average
reward of a continuing task.

error   = r - rho + discount * V(o') - V(o)                        (V(o') is 0 behind a termination)
z      <- discount * trace_decay * z + grad(log pi(a | o) + value_coefficient * V(o))    (0 where an episode begins)
params <- params + learning_rate * mean over rows of error * z
rho    <- rho + average_step * learning_rate * error               (an average_step of 0 leaves rho out)

Every step of a rollout is learnt from in its turn, all rows at once. The policy that acted is that of the rollout's
begin, so rollouts should be short; with one step they are the book's algorithms. As is usual, steps are not weighted
by discount^t. A recurrent network is trained through one step. Traces take rows times parameters of memory. For the
average reward (Wan, Naik and Sutton 2021) the discount is 1 and values are differential: what is to come beyond rho.
That is for tasks that never end: nothing is expected behind a termination there either.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, trees
from jaxrl.agents import on_policy, schedules
from jaxrl.agents.normalisers import Normalisers, scale_rewards
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    traces: bool = False
    normalise_observations: bool = False
    normalise_rewards: bool = False
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.9  # read with traces only
    value_coefficient: float = 1.0  # the critic's learning rate over the actor's
    average_step: float = 0.0  # rho's learning rate over the actor's
    max_gradient_norm: float = math.inf


class State(NamedTuple):
    params: Tree
    optimiser: optax.OptState
    config: Config
    updates: Array  # int32
    normalisers: Normalisers
    average: Array  # float []: rho
    traces: Any  # [N, P], () without them


def actor_critic(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.identity(),
) -> Agent:
    """Actor-critic over a network whose out is (policy outputs, value); in the book the direction is the gradient."""
    distribution = distributions.head(action_space).distribution

    def init(key: Key, timestep: Timestep) -> State:
        shared = on_policy.begin(key, network, direction, config, timestep)
        return State(*shared, jnp.zeros(()), on_policy.one_each(timestep, shared[0]) if config.traces else ())

    def score(params: Tree, hyper: Config, carry: Tree, t: Transition) -> tuple[Array, Any]:
        """log pi + value_coefficient * V [N], and (the carry after, V and the policy) for a step of all rows."""
        carry, (outputs, value) = network.step(params, carry, t.obs, t.first)
        policy = distribution(outputs, t.obs.legal)
        return policy.log_prob(t.action) + hyper.value_coefficient * value, (carry, value, policy.entropy())

    def judge(state: State, carry: Tree, t: Transition) -> tuple[Array, Tree, dict[str, Array]]:
        """error [N] of a step, 0 where it is not valid; the carry after it; metrics."""
        hyper = state.config
        _, (after, value, entropy) = score(state.params, hyper, carry, t)
        _, (_, next_value) = network.step(state.params, after, t.next_obs, jnp.zeros_like(t.first))
        following = hyper.discount * jnp.where(t.terminated, 0.0, next_value)
        error = jnp.where(t.valid, t.reward - state.average + following - value, 0.0)
        weight = t.valid.astype(jnp.float32)
        metrics = {"squared_error": losses.mean(error**2, weight), "entropy": losses.mean(entropy, weight)}
        return error, after, metrics | {"average_reward": state.average}

    def trace(state: State, carry: Tree, t: Transition) -> Array:
        """z [N, P] with this step."""

        def of_row(params: Tree, carry: Tree, row: Transition) -> Array:
            return jnp.sum(score(params, state.config, carry, jax.tree.map(lambda x: x[0], row))[0])

        now = on_policy.row_gradients(of_row, state.params, carry, jax.tree.map(lambda x: x[None], t))
        decay = jnp.where(t.first, 0.0, state.config.discount * state.config.trace_decay)
        return jnp.where(t.valid[:, None], decay[:, None] * state.traces + now, 0.0)

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        hyper, (steps, seen) = state.config, on_policy.read(state, rollout)
        rewards, normalisers = scale_rewards(state.normalisers, steps, hyper.discount)
        rate = schedules.learning_rate(hyper, state.updates)

        def step(learnt: tuple[State, Tree], t: Transition) -> tuple[tuple[State, Tree], dict[str, Array]]:
            state, carry = learnt
            error, after, metrics = judge(state, carry, t)
            count = jnp.maximum(jnp.sum(t.valid), 1)
            traces: Any = trace(state, carry, t) if config.traces else ()

            def loss(params: Tree) -> tuple[Array, None]:
                if config.traces:
                    return -(error @ traces) @ trees.ravel(params)[0] / count, None
                return -jnp.sum(jnp.where(t.valid, error * score(params, hyper, carry, t)[0], 0.0)) / count, None

            params, optimiser, _ = losses.gradient_step(
                loss, state.params, state.optimiser, direction, rate, hyper.max_gradient_norm
            )
            average = state.average + hyper.average_step * rate * jnp.sum(error) / count
            state = state._replace(params=params, optimiser=optimiser, average=average, traces=traces)
            return (state, after), metrics

        (state, _), metrics = jax.lax.scan(step, (state, rollout.carry), seen._replace(reward=rewards))
        reported = {name: Mean.of(x) for name, x in (metrics | {"learning_rate": rate}).items()}
        return state._replace(updates=trees.count_up(state.updates, 1), normalisers=normalisers), reported

    return Agent(init, network.begin, on_policy.acting(network, distribution), learn)
