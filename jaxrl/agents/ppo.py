"""Proximal policy optimisation (Schulman et al. 2017) for discrete, continuous, masked and recurrent policies.

A_t     = sum_k (discount * trace_decay)^k delta_{t+k}            (generalised advantages, cut at episode ends)
r_t     = pi(a_t | o_t) / pi_old(a_t | o_t)
policy  = -E[min(r_t A_t, clip(r_t, 1 - eps, 1 + eps) A_t)] - entropy_coefficient * E[H(pi)]
value   = E[max((V - G)^2, (clip(V, V_old - eps_v, V_old + eps_v) - G)^2)] / 2,   G = A + V_old
params <- params - learning_rate * Adam(clip(grad(policy + value_coefficient * value)))

With one epoch of one minibatch the ratio is 1 and nothing is clipped: advantage actor-critic, A2C (Mnih et al. 2016).
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxrl import distributions, losses
from jaxrl.agents import on_policy
from jaxrl.agents.auxiliary import Task
from jaxrl.agents.normalisers import Normalisers
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Observation, Rollout, Timestep, Tree


class Config(NamedTuple):
    num_epochs: int = 4
    num_minibatches: int = 4
    chunk_length: int = 1  # L: steps that a recurrent network is trained through; 1 shuffles single steps
    normalise_observations: bool = False
    normalise_rewards: bool = False
    normalise_values: bool = False  # the value is learnt in units of the returns so far (van Hasselt et al. 2016)
    standardise: bool = True  # the advantages of a minibatch
    auxiliary: tuple[str, ...] = ()  # tasks of the policy's hidden layer: reward, reconstruction, control
    kl_stop: bool = False  # leave out the rest of an update that went beyond kl_target
    kl_adaptive: bool = False  # move the learning rate so that an update goes as far as kl_target
    learning_rate: float = 2.5e-4
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float = 0.2  # inf: no clipping of the value
    entropy_coefficient: float = 0.01
    entropy_end: float = 0.0  # where the coefficient is led to
    entropy_span: float = math.inf  # over this share of total_updates; inf: it stays
    kl_target: float = 0.01
    value_coefficient: float = 0.5
    auxiliary_coefficient: float = 0.1
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
    auxiliary: Tree  # what auxiliary tasks should predict; () without


def ppo(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
    task: Task | None = None,
) -> Agent:
    """PPO over an actor-critic network, whose out is (policy outputs, value), and ends with what a task predicts."""
    distribution = distributions.head(action_space).distribution

    def init(key: Key, timestep: Timestep) -> State:
        return State(*on_policy.begin(key, network, direction, config, timestep))

    def estimate(state: State, rollout: Rollout) -> tuple[Tree, Item, Normalisers]:
        """The rollout with values, advantages and targets, in chunks: carries [M, ...] and items [M, L, ...]."""
        steps, seen = on_policy.read(state, rollout)
        before, now, later = on_policy.look(network, state.params, rollout.carry, seen)
        advantages, targets, normalisers = on_policy.advantages(
            state, steps, now[1], later[1], state.config.trace_decay
        )
        auxiliary = task.targets(seen, now[-1], later[-1], state.config.discount) if task else ()
        items = Item(
            seen.obs, steps.first, steps.action, steps.extras["log_prob"], now[1], advantages, targets,
            steps.valid.astype(jnp.float32), auxiliary,
        )  # fmt: skip
        return *on_policy.chunks(before, items, config.chunk_length), normalisers

    def loss(params: Tree, hyper: Config, carry: Tree, items: Item) -> tuple[Array, dict[str, Array]]:
        _, (outputs, value, *shown) = network.unroll(params, carry, items.obs, items.first)
        policy, weight = distribution(outputs, items.obs.legal), items.weight
        log_ratio = policy.log_prob(items.action) - items.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = losses.standardise(items.advantage, weight) if config.standardise else items.advantage
        policy_loss = losses.mean(losses.clipped_surrogate(ratio, advantage, hyper.clip_range), weight)
        value_error = losses.clipped_value(value, items.value, items.target, hyper.value_clip_range)
        value_loss, entropy = losses.mean(value_error, weight), losses.mean(policy.entropy(), weight)
        total = policy_loss + hyper.value_coefficient * value_loss - hyper.entropy_coefficient * entropy
        aside = {}
        if task:
            aside["auxiliary_loss"] = losses.mean(task.loss(shown[-1], items.action, items.auxiliary), weight)
            total += hyper.auxiliary_coefficient * aside["auxiliary_loss"]
        return total, aside | {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": losses.mean(ratio - 1 - log_ratio, weight),
            "clip_fraction": losses.mean((jnp.abs(ratio - 1) > hyper.clip_range).astype(jnp.float32), weight),
        }

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        carry, items, normalisers = estimate(state, rollout)
        state, metrics = on_policy.descend(key, loss, (carry, items), state, config, direction)
        return state._replace(normalisers=normalisers), metrics

    return Agent(init, network.begin, on_policy.acting(network, distribution), learn)
