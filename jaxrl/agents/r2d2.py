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

from jaxrl import distributions, losses, returns, spaces
from jaxrl.agents import off_policy, value_targets
from jaxrl.agents.off_policy import State
from jaxrl.agents.schedules import epsilon
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.types import Agent, Array, Buffer, Key, Network, Sample, Timestep, Transition, Tree


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
        actions = jnp.zeros(timestep.reward.shape, action_space.dtype)
        memory = buffer.init(example_rollout(timestep, actions, network.begin(actions.shape[0])))
        return off_policy.begin(network.init(key, timestep.obs), direction, config, memory)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Tree]:
        after, values = network.step(state.params, carry, timestep.obs, timestep.first)
        action = distributions.epsilon_greedy(key, values, epsilon(state, explore), timestep.obs.legal)
        return action.astype(action_space.dtype), after, carry  # which the window that begins here starts from

    def along(params: Tree, carry: Tree, early: Transition, late: Transition) -> tuple[Array, Array]:
        """Q(o_t) and Q(o_{t+1}) [L, B, n] of the late steps, where o_{t+1} is what step t really reached."""
        if config.burn_in:
            carry = jax.tree.map(lambda x: x[-1], network.unroll(params, carry, early.obs, early.first)[0])
            carry = jax.lax.stop_gradient(carry)
        after, values = network.unroll(params, carry, late.obs, late.first)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (after, late.next_obs, jnp.zeros_like(late.first)))
        return values, network.step(params, *flat)[1].reshape(values.shape)

    def loss(params: Tree, state: State, sample: Sample, keys: Key) -> tuple[Array, Any]:
        items, hyper = sample.items, state.config
        early, late = (
            jax.tree.map(lambda x, part=part: x[part], items.steps)
            for part in (slice(config.burn_in), slice(config.burn_in, None))
        )
        values, ahead = along(params, items.carry, early, late)
        target_ahead = along(state.target, items.carry, early, late)[1]
        judge = distributions.masked(ahead if config.double else target_ahead, late.next_obs.legal)
        best = value_targets.chosen(target_ahead, jnp.argmax(judge, -1))
        wanted = returns.n_step_returns(
            late.reward, stretch(best), late.terminated, late.truncated,
            hyper.discount, config.backup_steps, late.valid,
        )  # fmt: skip
        chosen = value_targets.chosen(values, late.action)
        error = chosen - jax.lax.stop_gradient(squeeze(wanted))
        size = jnp.where(late.valid, jnp.abs(error), 0.0)
        average = jnp.sum(size, 0) / jnp.maximum(jnp.sum(late.valid, 0), 1)
        metrics = {
            "loss": losses.mean(sample.weights * losses.huber(error, hyper.huber_threshold), late.valid),
            "q": losses.mean(chosen, late.valid),
        }
        return metrics["loss"], (metrics, hyper.eta * jnp.max(size, 0) + (1 - hyper.eta) * average)

    step = off_policy.descent(buffer, direction, loss, config.target_period)
    return Agent(init, network.begin, act, off_policy.learner(buffer, step))
