"""Proximal policy optimisation (Schulman et al. 2017) for discrete, continuous, masked and recurrent policies.

A_t     = sum_k (discount * trace_decay)^k delta_{t+k}            (generalised advantages, cut at episode ends)
r_t     = pi(a_t | o_t) / pi_old(a_t | o_t)
policy  = -E[min(r_t A_t, clip(r_t, 1 - eps, 1 + eps) A_t)] - entropy_coefficient * E[H(pi)]
value   = E[max((V - G)^2, (clip(V, V_old - eps_v, V_old + eps_v) - G)^2)] / 2,   G = A + V_old
params <- params - learning_rate * Adam(clip(grad(policy + value_coefficient * value)))
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, returns, trees
from jaxrl.agents import on_policy, rollouts
from jaxrl.agents.normalisers import Normalisers, normalise, running, scale_rewards
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Observation, Rollout, Timestep, Tree


class Config(NamedTuple):
    num_epochs: int = 4
    num_minibatches: int = 4
    chunk_length: int = 1  # L: steps that a recurrent network is trained through; 1 shuffles single steps
    normalise_observations: bool = False
    normalise_rewards: bool = False
    learning_rate: float = 2.5e-4
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float = 0.2  # inf: no clipping of the value
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5


class State(NamedTuple):
    params: Tree
    optimiser: optax.OptState
    config: Config
    gradient_steps: Array  # int32
    normalisers: Normalisers


class Item(NamedTuple):
    """What a minibatch holds of a step: leaves [L, B, ...]."""

    obs: Observation
    first: Array
    action: Tree
    log_prob: Array
    value: Array
    advantage: Array
    target: Array
    weight: Array


def ppo(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
) -> Agent:
    """PPO over an actor-critic network, whose out is (policy outputs, value)."""
    distribution = distributions.head(action_space).distribution

    def init(key: Key, timestep: Timestep) -> State:
        params = network.init(key, timestep.obs)
        normalisers = running(timestep, config.normalise_observations, config.normalise_rewards)
        return State(
            params, direction.init(trees.ravel(params)[0]), trees.traced(config), jnp.zeros((), jnp.int32), normalisers
        )

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        obs = normalise(state.normalisers, timestep.obs)
        carry, (outputs, _) = network.step(state.params, carry, obs, timestep.first)
        policy = distribution(outputs, obs.legal)
        action = policy.sample(seed=key) if explore else policy.mode()
        return action, carry, {"log_prob": policy.log_prob(action)}

    def estimate(state: State, rollout: Rollout) -> tuple[Tree, Item, Normalisers]:
        """The rollout with values, advantages and targets, in chunks: carries [M, ...] and items [M, L, ...]."""
        steps, hyper = rollouts.blank_invalid(rollout.steps), state.config
        obs, next_obs = (normalise(state.normalisers, o) for o in (steps.obs, steps.next_obs))
        seen = steps._replace(obs=obs, next_obs=next_obs)
        before, (_, values), (_, next_values) = on_policy.look(network, state.params, rollout.carry, seen)
        rewards, normalisers = scale_rewards(state.normalisers, steps, hyper.discount)
        advantages, targets = returns.gae(
            rewards, values, next_values, steps.terminated, steps.truncated, hyper.discount, hyper.trace_decay,
            steps.valid,
        )  # fmt: skip
        items = Item(
            obs, steps.first, steps.action, steps.extras["log_prob"], values, advantages, targets,
            steps.valid.astype(jnp.float32),
        )  # fmt: skip
        return *on_policy.chunks(before, items, config.chunk_length), normalisers

    def loss(params: Tree, hyper: Config, carry: Tree, items: Item) -> tuple[Array, dict[str, Array]]:
        _, (outputs, value) = network.unroll(params, carry, items.obs, items.first)
        policy, weight = distribution(outputs, items.obs.legal), items.weight
        log_ratio = policy.log_prob(items.action) - items.log_prob
        ratio, advantage = jnp.exp(log_ratio), losses.standardise(items.advantage, weight)
        policy_loss = losses.mean(losses.clipped_surrogate(ratio, advantage, hyper.clip_range), weight)
        value_error = losses.clipped_value(value, items.value, items.target, hyper.value_clip_range)
        value_loss, entropy = losses.mean(value_error, weight), losses.mean(policy.entropy(), weight)
        total = policy_loss + hyper.value_coefficient * value_loss - hyper.entropy_coefficient * entropy
        return total, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": losses.mean(ratio - 1 - log_ratio, weight),
            "clip_fraction": losses.mean((jnp.abs(ratio - 1) > hyper.clip_range).astype(jnp.float32), weight),
        }

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        carry, items, normalisers = estimate(state, rollout)
        (params, optimiser, count), metrics = on_policy.descend(key, loss, (carry, items), state, config, direction)
        return State(params, optimiser, state.config, count, normalisers), metrics

    return Agent(init, network.begin, act, learn)
