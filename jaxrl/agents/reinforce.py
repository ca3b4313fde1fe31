"""REINFORCE (Williams 1992): policy gradients of whole episodes' returns, with a learned baseline or without.

z_t     = discount * z_{t-1} + grad log pi(a_t | o_t)              (eligibility; 0 where an episode begins)
G_t     = sum_k discount^k r_{t+k}                                 (to the episode's end)
policy  = sum_t (G_t - b(o_t)) grad log pi(a_t | o_t)              (b: the value network, or 0)
value   = E[(b - G)^2] / 2
params <- params + learning_rate * Adam(clip(policy + entropy_coefficient * grad(entropy) - value_coefficient * ...))

An episode that the end of a rollout cuts is not lost, and none of its steps learns a wrong return: each row keeps the
eligibility of its unfinished episode, and what the next rollout earns (beyond what the baseline expected of it, which
the cut steps have been credited with) is credited to that. Over rollouts of any length, with the parameters held, the
gradients add up to those of whole episodes, without bias where discount is 1. That takes rows times parameters of
memory. With a baseline a limit bootstraps from what it reached; without one, nothing knows what would have come after
it: the return is what was earned up to it, and the metric `truncated` is the share of such ends.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, trees
from jaxrl.agents import on_policy, schedules
from jaxrl.agents.normalisers import Normalisers
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    baseline: bool = False
    normalise_observations: bool = False
    normalise_rewards: bool = False
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    entropy_coefficient: float = 0.0
    entropy_end: float = 0.0  # where the coefficient is led to
    entropy_span: float = math.inf  # over this share of total_updates; inf: it stays
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5


class State(NamedTuple):
    params: Tree
    optimiser: optax.OptState
    config: Config
    gradient_steps: Array  # int32
    normalisers: Normalisers
    eligibility: Array  # [N, P] of each row's unfinished episode, discounted to the next step


def reinforce(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
) -> Agent:
    """REINFORCE over an actor-critic network, whose out is (policy outputs, value); without a baseline V is unread."""
    distribution = distributions.head(action_space).distribution

    def init(key: Key, timestep: Timestep) -> State:
        shared = on_policy.begin(key, network, direction, config, timestep)
        return State(*shared, on_policy.one_each(timestep, shared[0]))

    def estimate(state: State, rollout: Rollout) -> tuple[Transition, Array, Array, Normalisers]:
        """(steps as the network sees them, G - b and G [T, N], normalisers); without a baseline b is 0."""
        steps, seen = on_policy.read(state, rollout)
        values = next_values = jnp.zeros_like(steps.reward)
        if config.baseline:
            _, (_, values), (_, next_values) = on_policy.look(network, state.params, rollout.carry, seen)
        return seen, *on_policy.advantages(state, steps, values, next_values, 1.0)

    def log_prob(params: Tree, carry: Tree, steps: Transition) -> tuple[Array, Any, Array]:
        _, (outputs, value) = network.unroll(params, carry, steps.obs, steps.first)
        policy = distribution(outputs, steps.obs.legal)
        return policy.log_prob(steps.action), policy, value

    def prolong(state: State, earlier: Array, steps: Transition, carry: Tree) -> Array:
        """The eligibility [N, P] after a rollout, of the episodes that go on."""
        goes_on = jnp.where(steps.valid & ~steps.ended, state.config.discount, 0.0)
        credit = jnp.cumprod(goes_on[::-1], 0)[::-1]  # [T, N] of a reward right after the rollout

        def score(params: Tree, carry: Tree, row: tuple[Transition, Array]) -> Array:
            return jnp.sum(row[1] * log_prob(params, carry, row[0])[0])

        return credit[0][:, None] * earlier + on_policy.row_gradients(score, state.params, carry, (steps, credit))

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        steps, advantages, targets, normalisers = estimate(state, rollout)
        weight, hyper = steps.valid.astype(jnp.float32), state.config
        earlier = jnp.where((steps.valid & ~steps.first)[0][:, None], state.eligibility, 0.0)
        credit = advantages[0] @ earlier / jnp.maximum(jnp.sum(weight), 1)  # [P]
        entropy_coefficient = schedules.entropy_coefficient(hyper, state.gradient_steps)

        def loss(params: Tree) -> tuple[Array, dict[str, Array]]:
            chosen, policy, value = log_prob(params, rollout.carry, steps)
            policy_loss, entropy = -losses.mean(chosen * advantages, weight), losses.mean(policy.entropy(), weight)
            value_loss = losses.mean(0.5 * (value - targets) ** 2, weight) if config.baseline else jnp.zeros(())
            total = policy_loss - credit @ trees.ravel(params)[0] - entropy_coefficient * entropy
            metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
            return total + hyper.value_coefficient * value_loss, metrics

        rate = schedules.learning_rate(hyper, state.gradient_steps)
        params, optimiser, metrics = losses.gradient_step(
            loss, state.params, state.optimiser, direction, rate, hyper.max_gradient_norm
        )
        metrics = {name: Mean.of(x) for name, x in (metrics | {"learning_rate": rate}).items()}
        metrics["truncated"] = Mean.of(steps.truncated & ~steps.terminated, steps.ended & steps.valid)
        eligibility = prolong(state, earlier, steps, rollout.carry)
        count = trees.count_up(state.gradient_steps, 1)
        return State(params, optimiser, hyper, count, normalisers, eligibility), metrics

    return Agent(init, network.begin, on_policy.acting(network, distribution), learn)
