"""IMPALA's actor-critic (Espeholt et al. 2018): learning from what an older policy did, corrected by V-trace.

c_t     = trace_decay * min(max_c, ratio_t),  rho_t = min(max_rho, ratio_t),  ratio_t = pi(a_t | o_t) / mu(a_t | o_t)
G_t     = V_t + rho_t (r_t + discount V_{t+1} - V_t) + discount c_t (G_{t+1} - V_{t+1})
policy  = -E[rho_t (r_t + discount G_{t+1} - V_t) log pi(a_t | o_t)] - entropy_coefficient * E[H(pi)]
value   = E[(V - G)^2] / 2
params <- params - learning_rate * direction(clip(grad(policy + value_coefficient * value)))

mu, which acted, is older than pi in two ways: the actors use the parameters of `delay` updates ago, as where they run
apart from the learner; and every pass over a rollout but the first finds a policy that has moved. What is corrected is
found anew in each pass. With neither, this is A2C.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, returns
from jaxrl.agents import on_policy
from jaxrl.agents.normalisers import Normalisers, scale_rewards
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    num_epochs: int = 1  # passes over a rollout
    num_minibatches: int = 1  # of whole rows
    delay: int = 1  # updates
    normalise_observations: bool = False
    normalise_rewards: bool = False
    kl_stop: bool = False  # leave out the rest of an update that went beyond kl_target
    kl_adaptive: bool = False  # move the learning rate so that an update goes as far as kl_target
    learning_rate: float = 6e-4
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 1.0
    max_rho: float = 1.0
    max_c: float = 1.0
    entropy_coefficient: float = 0.01
    entropy_end: float = 0.0  # where the coefficient is led to
    entropy_span: float = math.inf  # over this share of total_updates; inf: it stays
    kl_target: float = 0.01
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5


class State(NamedTuple):
    params: Tree
    optimiser: optax.OptState
    config: Config
    gradient_steps: Array  # int32
    normalisers: Normalisers
    past: Tree  # [delay, ...] parameters before each of the last updates, the oldest first


def impala(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
) -> Agent:
    """IMPALA over an actor-critic network, whose out is (policy outputs, value)."""
    distribution = distributions.head(action_space).distribution
    act_by = on_policy.acting(network, distribution)

    def init(key: Key, timestep: Timestep) -> State:
        state = State(*on_policy.begin(key, network, direction, config, timestep), past=())
        past = jax.tree.map(lambda x: jnp.stack([x] * config.delay), state.params) if config.delay else ()
        return state._replace(past=past)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        if explore and config.delay:
            state = state._replace(params=jax.tree.map(lambda x: x[0], state.past))
        return act_by(state, key, carry, timestep, explore)

    def loss(params: Tree, hyper: Config, carry: Tree, steps: Transition) -> tuple[Array, dict[str, Array]]:
        _, (outputs, values), (_, next_values) = on_policy.look(network, params, carry, steps)
        policy, weight = distribution(outputs, steps.obs.legal), steps.valid.astype(jnp.float32)
        log_prob = policy.log_prob(steps.action)
        log_ratio = log_prob - steps.extras["log_prob"]
        ratios = jnp.exp(log_ratio)
        advantages, targets = returns.vtrace(
            steps.reward, *jax.lax.stop_gradient((values, next_values, ratios)), steps.terminated, steps.truncated,
            hyper.discount, hyper.trace_decay, hyper.max_rho, hyper.max_c, steps.valid,
        )  # fmt: skip
        policy_loss = -losses.mean(advantages * log_prob, weight)
        value_loss, entropy = losses.mean(0.5 * (values - targets) ** 2, weight), losses.mean(policy.entropy(), weight)
        total = policy_loss + hyper.value_coefficient * value_loss - hyper.entropy_coefficient * entropy
        return total, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": losses.mean(ratios - 1 - log_ratio, weight),
            "clip_fraction": losses.mean((ratios > hyper.max_rho).astype(jnp.float32), weight),
        }

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        steps, seen = on_policy.read(state, rollout)
        rewards, normalisers = scale_rewards(state.normalisers, steps, state.config.discount)
        past = state.past
        if config.delay:
            past = jax.tree.map(lambda old, x: jnp.concatenate([old[1:], x[None]]), past, state.params)
        rows = jax.tree.map(lambda x: x.swapaxes(0, 1), seen._replace(reward=rewards))  # chunks of whole rows
        state, metrics = on_policy.descend(key, loss, (rollout.carry, rows), state, config, direction)
        return state._replace(normalisers=normalisers, past=past), metrics

    return Agent(init, network.begin, act, learn)
