"""Deep Q-learning (Mnih et al. 2015): replay, a target network, epsilon-greedy exploration.

y      = r + discount * max_a' Q(o', a'; target)        (0 behind a termination, not behind a truncation)
loss   = E[huber(Q(o, a) - y)]
target <- target + target_rate * (params - target), every target_period gradient steps
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, spaces, trees
from jaxrl.agents import rollouts
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Buffer, Experience, Key, Network, Observation, Rollout, Timestep, Tree


class Config(NamedTuple):
    buffer_size: int = 10_000
    batch_size: int = 128
    learning_starts: int = 1_000  # transitions held before the first gradient step
    target_period: int = 1  # gradient steps between updates of the target
    double: bool = False  # the online network chooses the action of the target (van Hasselt et al. 2016)
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    gradient_steps: float = 0.5  # per environment step, whatever the number of rows
    discount: float = 0.99
    target_rate: float = 0.01  # 1: the target becomes a copy
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: float = 10_000.0  # environment steps from start to end
    max_gradient_norm: float = 10.0
    huber_threshold: float = 1.0  # inf: squared error


class State(NamedTuple):
    params: Tree
    target: Tree
    optimiser: optax.OptState
    config: Config
    buffer: Any
    env_steps: Array  # int32
    updates: Array  # int32: calls of learn
    gradient_steps: Array  # int32
    owed: Array  # float: the fraction of a gradient step that is still due


def dqn(
    network: Network,
    action_space: Any,
    config: Config,
    buffer: Buffer,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
) -> Agent:
    """DQN over a network whose out is action values [..., n]."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"dqn needs a discrete action space, got {action_space}")

    def init(key: Key, timestep: Timestep) -> State:
        params, zero = network.init(key, timestep.obs), jnp.zeros((), jnp.int32)
        actions = jnp.zeros(timestep.reward.shape, action_space.dtype)
        memory = buffer.init(example_rollout(timestep, actions, ()))
        hyper = trees.traced(config)
        return State(
            params, params, direction.init(trees.ravel(params)[0]), hyper, memory, zero, zero, zero, jnp.zeros(())
        )

    def values(params: Tree, obs: Observation) -> Array:
        return network.step(params, (), obs, jnp.zeros(jax.tree.leaves(obs)[0].shape[:1], bool))[1]

    def pick(values: Array, action: Array) -> Array:
        return jnp.take_along_axis(values, action[:, None], -1)[:, 0]

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        hyper = state.config
        progress = jnp.minimum(state.env_steps / hyper.epsilon_steps, 1.0)
        epsilon = hyper.epsilon_start + (hyper.epsilon_end - hyper.epsilon_start) * progress if explore else 0.0
        action = distributions.epsilon_greedy(key, values(state.params, timestep.obs), epsilon, timestep.obs.legal)
        return action.astype(action_space.dtype), carry, ()

    def loss(params: Tree, target: Tree, hyper: Config, items: Experience, weights: Array) -> tuple[Array, Any]:
        next_values = values(target, items.next_obs)
        judge = values(params, items.next_obs) if config.double else next_values
        best = jnp.argmax(distributions.masked(judge, items.next_obs.legal), -1)
        wanted = items.reward + items.discount * pick(next_values, best)
        chosen = pick(values(params, items.obs), items.action)
        error = chosen - jax.lax.stop_gradient(wanted)
        weight = weights * items.valid
        metrics = {
            "loss": losses.mean(losses.huber(error, hyper.huber_threshold), weight),
            "q": losses.mean(chosen, weight),
        }
        return metrics["loss"], (metrics, jnp.abs(error))

    def gradient_step(i: Array, state: State, key: Key) -> tuple[State, dict[str, Array]]:
        hyper = state.config
        sample = buffer.sample(state.buffer, jax.random.fold_in(key, i), hyper.discount)
        rate = hyper.learning_rate * jnp.maximum(1 - state.updates / hyper.total_updates, 0.0)
        params, optimiser, (metrics, priority) = losses.gradient_step(
            lambda p: loss(p, state.target, hyper, sample.items, sample.weights),
            state.params, state.optimiser, direction, rate, hyper.max_gradient_norm,
        )  # fmt: skip
        count = trees.count_up(state.gradient_steps, 1)
        moved = jnp.where(count % config.target_period == 0, hyper.target_rate, 0.0)
        target = jax.tree.map(lambda t, p: t + moved * (p - t), state.target, params)
        memory = buffer.update(state.buffer, sample.indices, priority)
        return state._replace(
            params=params, target=target, optimiser=optimiser, gradient_steps=count, buffer=memory
        ), metrics

    def update(state: State, key: Key, num_steps: Array) -> tuple[State, dict[str, Mean]]:
        """num_steps (traced) gradient steps on what the buffer holds."""

        def body(i: Array, both: Any) -> Any:
            state, metrics = gradient_step(i, both[0], key)
            return state, jax.tree.map(jnp.add, both[1], metrics)

        zeros = {"loss": jnp.zeros(()), "q": jnp.zeros(())}
        state, totals = jax.lax.fori_loop(0, num_steps, body, (state, zeros))
        return state, {name: Mean(total, num_steps) for name, total in totals.items()}

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        rollout, count = rollout._replace(steps=rollouts.blank_invalid(rollout.steps)), rollout.steps.reward.size
        memory = buffer.add(state.buffer, rollout)
        owed = jnp.where(buffer.ready(memory), state.owed + count * state.config.gradient_steps, 0.0)
        due = jnp.floor(owed).astype(jnp.int32)
        state = state._replace(buffer=memory, env_steps=trees.count_up(state.env_steps, count), owed=owed - due)
        state, metrics = update(state, key, due)
        return state._replace(updates=trees.count_up(state.updates, 1)), metrics

    return Agent(init, network.begin, act, learn)
