"""Soft actor-critic (Haarnoja et al. 2018), for continuous actions, and for discrete ones (Christodoulou 2019).

V(o)   = E_{a ~ policy}[min_i Q_i(o, a) - temperature * log policy(a | o)]       (one draw, or the sum over actions)
y      = r + discount * V(o'; target critics)                     (0 behind a termination, not a truncation)
loss   = E[sum_i (Q_i(o, a) - y)^2 / 2 - V(o) + log temperature * (entropy(o) - target entropy)]
target <- target + target_rate * (critics - target)

Each term moves its own part (critics, policy, temperature), all of them in one gradient step.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl import distributions, losses, spaces
from jaxrl.action_networks import bounds, ensemble, evaluate
from jaxrl.agents import exploration, off_policy
from jaxrl.agents.exploration import Wandering
from jaxrl.agents.normalisers import normalise, running
from jaxrl.agents.off_policy import State
from jaxrl.buffers.uniform import example_rollout
from jaxrl.types import Agent, Array, Buffer, Key, Network, Observation, Sample, Timestep, Tree


class Config(NamedTuple):
    buffer_size: int = 100_000
    batch_size: int = 256
    learning_starts: int = 1_000  # transitions held before the first gradient step; actions are random until then
    num_critics: int = 2  # of which the smallest value counts
    target_period: int = 1  # gradient steps between updates of the target
    tuned: bool = True  # the temperature is learnt; or stays as it is
    backup_steps: int = 1  # n of the n-step target
    prioritized: bool = False  # experience is dealt by its last error
    priority_exponent: int | float = 0.6  # 0: all alike
    importance_start: int | float = 0.4  # how far the weights make up for it, 1 after importance_updates
    importance_updates: int = 20_000  # gradient steps
    hindsight: str | None = None  # goals that were reached take the place of others: "future", "final", "episode"
    normalise_observations: bool = False
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    gradient_steps: float = 1.0  # per environment step, whatever the number of rows
    discount: float = 0.99
    target_rate: float = 0.005
    temperature: float = 1.0  # at first, where it is learnt
    target_entropy: float = -1.0  # for each continuous action, in units of the bounds; a share of the largest possible
    warm_up_hold: float = 1.0  # steps for which a random action of the beginning is held, on average
    max_gradient_norm: float = math.inf


class Params(NamedTuple):
    policy: Tree
    critic: Tree  # [num_critics, ...]
    log_temperature: Array


class Kind(NamedTuple):
    """What differs between kinds of actions."""

    size: int  # d of what a row remembers
    sample: Callable[..., Array]  # (policy's out, legal, key) -> action
    mode: Callable[..., Array]  # (policy's out, legal) -> action
    random: Callable[..., Array]  # (uniform [N, d] in -1..1, legal) -> action
    chosen: Callable[..., Array]  # (critics, obs, action) -> the values of actions that were taken [n, B]
    value: Callable[..., Any]  # (critics, policy's out, obs, temperature, key) -> (V [B], entropy [B])
    wanted: Callable[..., Any]  # (target_entropy, legal) -> entropy [...]


def continuous(action_space: spaces.Space) -> Kind:
    box, head = bounds(action_space), distributions.squashed_head(action_space)
    low, high = action_space.bounds()
    log_scale = float(np.sum(np.log((high - low) / 2)))

    def value(critics: Any, out: Array, obs: Observation, temperature: Array, key: Key) -> tuple[Array, Array]:
        action, log_prob = head.distribution(out).sample_and_log_prob(seed=key)
        return jnp.min(critics((obs, box.to_units(action))), axis=0) - temperature * log_prob, -log_prob

    return Kind(
        box.size,
        lambda out, legal, key: head.distribution(out).sample(seed=key),
        lambda out, legal: head.distribution(out).mode(),
        lambda units, legal: box.from_units(units),
        lambda critics, obs, action: critics((obs, box.to_units(action))),
        value,
        lambda target, legal: box.size * target + log_scale,
    )


def discrete(action_space: spaces.Discrete) -> Kind:
    def probabilities(out: Array, legal: Array | None) -> tuple[Array, Array]:
        logs = jax.nn.log_softmax(distributions.masked(out, legal))
        return jnp.exp(logs), logs

    def value(critics: Any, out: Array, obs: Observation, temperature: Array, key: Key) -> tuple[Array, Array]:
        chance, logs = probabilities(out, obs.legal)
        entropy = -jnp.sum(jnp.where(chance > 0, chance * logs, 0.0), axis=-1)
        values = jnp.where(chance > 0, chance * jnp.min(critics(obs), axis=0), 0.0)
        return jnp.sum(values, axis=-1) + temperature * entropy, entropy

    def random(units: Array, legal: Array | None) -> Array:
        legal = jnp.ones((units.shape[0], action_space.n), bool) if legal is None else legal
        return distributions.nth_legal((units[:, 0] + 1) / 2, legal)

    def chosen(critics: Any, obs: Observation, action: Array) -> Array:
        one_hot = jax.nn.one_hot(action, action_space.n)
        return jnp.sum(jnp.where(one_hot > 0, critics(obs), 0.0), axis=-1)

    def wanted(target: Array, legal: Array | None) -> Array:
        return target * jnp.log(action_space.n if legal is None else jnp.sum(legal, axis=-1))

    return Kind(
        1,
        lambda out, legal, key: jax.random.categorical(key, distributions.masked(out, legal)),
        lambda out, legal: jnp.argmax(distributions.masked(out, legal), axis=-1),
        random, chosen, value, wanted,
    )  # fmt: skip


def sac(
    policy: Network,
    critic: Network,
    action_space: Any,
    config: Config,
    buffer: Buffer,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
) -> Agent:
    """SAC: for a Box, out is [..., 2 d] and value [...] of (obs, action); for Discrete, logits and values [..., n]."""
    kind = (discrete if isinstance(action_space, spaces.Discrete) else continuous)(action_space)
    critics = ensemble(critic, config.num_critics)

    def init(key: Key, timestep: Timestep) -> State:
        policy_key, critic_key = jax.random.split(key)
        num_rows, obs = timestep.reward.shape[0], timestep.obs
        actions = jnp.zeros((num_rows, *action_space.shape), action_space.dtype)
        read = obs if isinstance(action_space, spaces.Discrete) else (obs, jnp.zeros((num_rows, kind.size)))
        start = jnp.log(jnp.asarray(config.temperature, jnp.float32))
        params = Params(policy.init(policy_key, obs), critics.init(critic_key, read), start)
        memory = buffer.init(example_rollout(timestep, actions, ()))
        moments = running(timestep, config.normalise_observations, False)
        state = off_policy.begin(params, direction, config, memory, moments)
        return state._replace(target=params.critic)

    def begin(num_rows: int) -> Wandering:
        return exploration.begin(num_rows, kind.size)

    def act(state: State, key: Key, carry: Wandering, timestep: Timestep, explore: bool = True) -> tuple[Any, Any, Any]:
        obs = normalise(state.normalisers, timestep.obs)
        out = policy.step(state.params.policy, (), obs, timestep.first)[1]
        if not explore:
            return kind.mode(out, obs.legal).astype(action_space.dtype), carry, ()
        sample_key, random_key = jax.random.split(key)
        carry = exploration.warm_up(random_key, carry, timestep.first, state.config)
        random, action = kind.random(carry.random, obs.legal), kind.sample(out, obs.legal, sample_key)
        action = jnp.where(state.env_steps < config.learning_starts, random, action)
        return action.astype(action_space.dtype), carry, ()

    def loss(params: Params, state: State, sample: Sample, keys: Key) -> tuple[Array, Any]:
        hyper, fixed = state.config, jax.lax.stop_gradient(params)
        obs, next_obs = (normalise(state.normalisers, obs) for obs in (sample.items.obs, sample.items.next_obs))
        valid, num_rows = sample.items.valid, sample.items.reward.shape[0]
        temperature = jnp.exp(fixed.log_temperature) if config.tuned else hyper.temperature

        def judge(params: Tree) -> Callable[[Any], Array]:
            return lambda read: evaluate(critics, params, read, num_rows)

        next_out = evaluate(policy, fixed.policy, next_obs, num_rows)
        next_value, _ = kind.value(judge(state.target), next_out, next_obs, temperature, keys[0])
        out = evaluate(policy, params.policy, obs, num_rows)
        value, entropy = kind.value(judge(fixed.critic), out, obs, temperature, keys[1])
        target = jax.lax.stop_gradient(sample.items.reward + sample.items.discount * next_value)
        chosen = kind.chosen(judge(params.critic), obs, sample.items.action)
        error = chosen - target
        critic_loss = losses.mean(sample.weights * 0.5 * jnp.sum(error**2, axis=0), valid)
        surplus = losses.mean(jax.lax.stop_gradient(entropy) - kind.wanted(hyper.target_entropy, obs.legal), valid)
        metrics = {
            "loss": critic_loss, "q": losses.mean(chosen[0], valid), "entropy": losses.mean(entropy, valid),
            "temperature": temperature,
        }  # fmt: skip
        total = critic_loss - losses.mean(value, valid) + config.tuned * params.log_temperature * surplus
        return total, (metrics, jnp.max(jnp.abs(error), axis=0))

    step = off_policy.descent(buffer, direction, loss, config.target_period, lambda params: params.critic)
    return Agent(init, begin, act, off_policy.learner(buffer, step, names=("loss", "q", "entropy", "temperature")))
