"""R2D2 (Kapturowski et al. 2019): Q-learning with a recurrent network, from replayed windows of consecutive steps.

c      = the carry that acted before the window's first step, brought up to date over the first burn_in steps
G_t    = r_t + ... + discount^(n-1) r_{t+n-1} + discount^n h^-1(Q(c', o_{t+n}, argmax_a Q(c, o_{t+n}, a); target))
loss   = E[huber(Q(c, o_t, a_t) - h(G_t))] over the steps behind the burn-in, n-step returns ending with the window
h(x)   = sign(x) (sqrt(|x| + 1) - 1) + x / 1000; a window's priority is eta max |error| + (1 - eta) mean |error|
target <- target + target_rate * (params - target), every target_period gradient steps
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, returns, spaces, trees
from jaxrl.agents import rollouts
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Buffer, Key, Network, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    buffer_size: int = 100_000
    batch_size: int = 32  # windows
    learning_starts: int = 1_000  # transitions held before the first gradient step
    length: int = 40  # steps of a window that are learnt from
    burn_in: int = 20  # steps in front of them
    stride: int = 20  # steps between the starts of two windows
    prioritized: bool = True  # windows are dealt by their last errors
    backup_steps: int = 5  # n of the n-step target
    double: bool = True  # the online network chooses the action of the target (van Hasselt et al. 2016)
    dueling: bool = True
    rescaled: bool = True  # h; off, it is the identity
    target_period: int = 1  # gradient steps between updates of the target
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    gradient_steps: float = 0.02  # per environment step, whatever the number of rows
    discount: float = 0.997
    target_rate: float = 0.01  # 1: the target becomes a copy
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: float = 10_000.0  # environment steps from start to end
    max_gradient_norm: float = 10.0
    huber_threshold: float = math.inf  # inf: squared error
    eta: float = 0.9


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


def rescale(x: Array) -> Array:
    """h [...]: a large value in few units (Pohlen et al. 2018)."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + 1e-3 * x


def restore(x: Array) -> Array:
    """h^-1 [...]."""
    root = jnp.sqrt(1 + 4e-3 * (jnp.abs(x) + 1 + 1e-3))
    return jnp.sign(x) * (((root - 1) / 2e-3) ** 2 - 1)


def r2d2(
    network: Network,
    action_space: Any,
    config: Config,
    buffer: Buffer,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
) -> Agent:
    """R2D2 over a network whose out is action values [..., n], and a buffer of windows of burn_in + length steps."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"r2d2 needs a discrete action space, got {action_space}")
    squeeze, stretch = (rescale, restore) if config.rescaled else (lambda x: x, lambda x: x)

    def init(key: Key, timestep: Timestep) -> State:
        params, zero = network.init(key, timestep.obs), jnp.zeros((), jnp.int32)
        actions = jnp.zeros(timestep.reward.shape, action_space.dtype)
        memory = buffer.init(example_rollout(timestep, actions, network.begin(actions.shape[0])))
        optimiser, hyper = direction.init(trees.ravel(params)[0]), trees.traced(config)
        return State(params, params, optimiser, hyper, memory, zero, zero, zero, jnp.zeros(()))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Tree]:
        hyper = state.config
        progress = jnp.minimum(state.env_steps / hyper.epsilon_steps, 1.0)
        epsilon = hyper.epsilon_start + (hyper.epsilon_end - hyper.epsilon_start) * progress if explore else 0.0
        after, values = network.step(state.params, carry, timestep.obs, timestep.first)
        action = distributions.epsilon_greedy(key, values, epsilon, timestep.obs.legal)
        return action.astype(action_space.dtype), after, carry  # which the window that begins here starts from

    def along(params: Tree, carry: Tree, early: Transition, late: Transition) -> tuple[Array, Array]:
        """Q(o_t) and Q(o_{t+1}) [L, B, n] of the late steps, where o_{t+1} is what step t really reached."""
        if config.burn_in:
            carry = jax.tree.map(lambda x: x[-1], network.unroll(params, carry, early.obs, early.first)[0])
            carry = jax.lax.stop_gradient(carry)
        after, values = network.unroll(params, carry, late.obs, late.first)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (after, late.next_obs, jnp.zeros_like(late.first)))
        return values, network.step(params, *flat)[1].reshape(values.shape)

    def pick(values: Array, action: Array) -> Array:
        return jnp.take_along_axis(values, action[..., None], -1)[..., 0]

    def loss(params: Tree, target: Tree, hyper: Config, items: Rollout, weights: Array) -> tuple[Array, Any]:
        early, late = (
            jax.tree.map(lambda x, part=part: x[part], items.steps)
            for part in (slice(config.burn_in), slice(config.burn_in, None))
        )
        values, ahead = along(params, items.carry, early, late)
        target_ahead = along(target, items.carry, early, late)[1]
        judge = distributions.masked(ahead if config.double else target_ahead, late.next_obs.legal)
        wanted = returns.n_step_returns(
            late.reward, stretch(pick(target_ahead, jnp.argmax(judge, -1))), late.terminated, late.truncated,
            hyper.discount, config.backup_steps, late.valid,
        )  # fmt: skip
        chosen = pick(values, late.action)
        error = chosen - jax.lax.stop_gradient(squeeze(wanted))
        size = jnp.where(late.valid, jnp.abs(error), 0.0)
        average = jnp.sum(size, 0) / jnp.maximum(jnp.sum(late.valid, 0), 1)
        metrics = {
            "loss": losses.mean(weights * losses.huber(error, hyper.huber_threshold), late.valid),
            "q": losses.mean(chosen, late.valid),
        }
        return metrics["loss"], (metrics, hyper.eta * jnp.max(size, 0) + (1 - hyper.eta) * average)

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
