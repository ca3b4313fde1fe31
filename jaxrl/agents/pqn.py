"""Parallelised Q-network (Gallici et al. 2024): deep Q-learning without a replay buffer or a target network.

G_t     = r_t + discount ((1 - trace_decay) max_a Q(o_{t+1}, a) + trace_decay G_{t+1}),   G_{t+1} = max_a Q at an end
loss    = E[(Q(o_t, a_t) - G_t)^2] / 2            (several epochs over a rollout, whose targets are computed once)
params <- params - learning_rate * RAdam(clip(grad(loss)))

The target is Peng's Q(lambda) (Peng and Williams 1996): unlike in Watkins's, an exploratory action cuts no trace. What
keeps it stable is layer normalisation in the network (`normalisation` of its settings) and many parallel rows.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, returns, spaces, trees
from jaxrl.agents import on_policy, rollouts
from jaxrl.agents.schedules import epsilon
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Observation, Rollout, Timestep, Tree


class Config(NamedTuple):
    num_epochs: int = 2
    num_minibatches: int = 4
    chunk_length: int = 1  # L: steps that a recurrent network is trained through; 1 shuffles single steps
    learning_rate: float = 5e-4
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.65
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: float = 50_000.0  # environment steps from start to end
    reward_scale: float = 1.0  # Q estimates the return times this
    max_gradient_norm: float = 10.0


class State(NamedTuple):
    params: Tree
    optimiser: optax.OptState
    config: Config
    env_steps: Array  # int32
    gradient_steps: Array  # int32


class Item(NamedTuple):
    """What a minibatch holds of a step: leaves [L, B, ...]."""

    obs: Observation
    first: Array
    action: Array
    target: Array
    weight: Array


def pqn(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_radam(),
) -> Agent:
    """PQN over a network whose out is action values [..., n]."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"pqn needs a discrete action space, got {action_space}")

    def init(key: Key, timestep: Timestep) -> State:
        params, zero = network.init(key, timestep.obs), jnp.zeros((), jnp.int32)
        return State(params, direction.init(trees.ravel(params)[0]), trees.traced(config), zero, zero)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        carry, values = network.step(state.params, carry, timestep.obs, timestep.first)
        action = distributions.epsilon_greedy(key, values, epsilon(state, explore), timestep.obs.legal)
        return action.astype(action_space.dtype), carry, ()

    def estimate(state: State, rollout: Rollout) -> tuple[Tree, Item]:
        """The rollout with its targets, in chunks: carries [M, ...] and items [M, L, ...]."""
        steps, hyper = rollouts.blank_invalid(rollout.steps), state.config
        before, _, values = on_policy.look(network, state.params, rollout.carry, steps)
        targets = returns.lambda_returns(
            steps.reward * hyper.reward_scale, distributions.masked(values, steps.next_obs.legal).max(-1),
            steps.terminated, steps.truncated, hyper.discount, hyper.trace_decay, steps.valid,
        )  # fmt: skip
        items = Item(steps.obs, steps.first, steps.action, targets, steps.valid.astype(jnp.float32))
        return on_policy.chunks(before, items, config.chunk_length)

    def loss(params: Tree, hyper: Config, carry: Tree, items: Item) -> tuple[Array, dict[str, Array]]:
        _, values = network.unroll(params, carry, items.obs, items.first)
        taken = jnp.arange(action_space.n) == items.action[..., None]  # a gather's gradient is a scatter, which is slow
        chosen = jnp.sum(jnp.where(taken, values, 0.0), -1)
        error = losses.mean(0.5 * (chosen - items.target) ** 2, items.weight)
        return error, {"loss": error, "q": losses.mean(chosen, items.weight)}

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        batch = estimate(state, rollout)
        state, metrics = on_policy.descend(key, loss, batch, state, config, direction)
        return state._replace(env_steps=trees.count_up(state.env_steps, rollout.steps.reward.size)), metrics

    return Agent(init, network.begin, act, learn)
