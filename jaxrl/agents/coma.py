"""Counterfactual multi-agent policy gradients, COMA (Foerster et al. 2018), for discrete actions.

G_t     = r_t + discount ((1 - trace_decay) Q_i(s', a'; target) + trace_decay G_{t+1}),  a' drawn by all policies at o'
critic: descends E[(Q_i(s, a) - G)^2 / 2]: it sees the world, who asks, and what the others do, and values each a_i
A_i     = Q_i(s, a) - sum_b pi_i(b | o_i) Q_i(s, (a_-i, b))      (what the own action was worth, others as they were)
actor:  ascends E[A_i log pi_i(a_i | o_i)] + entropy_coefficient E[H(pi_i)]

All agents share one policy, recurrent if asked for, and one critic.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, returns, spaces, trees
from jaxrl.agents import off_policy, on_policy, rollouts, schedules, teams, value_targets
from jaxrl.agents.on_policy import Both
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Observation, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    num_epochs: int = 4  # of the critic on each rollout
    num_minibatches: int = 4
    identity: bool = True  # agents see their number, one-hot
    counterfactual: bool = True  # off: A_i = Q_i(s, a), without the baseline
    standardise: bool = True  # the advantages of a rollout
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.8
    target_rate: float = 0.2  # of the critic, once per rollout
    entropy_coefficient: float = 0.01
    max_gradient_norm: float = 10.0


class State(NamedTuple):
    params: Both
    target: Tree  # of the critic
    optimiser: Both
    config: Config
    gradient_steps: Array  # int32, of the critic


class Item(NamedTuple):
    """What a minibatch holds of the steps of a team: leaves [1, B, A, ...]."""

    obs: Observation
    action: Array
    target: Array
    weight: Array


def coma(
    actor: Network,
    critic: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
) -> Agent:
    """A team [N, A] over networks of logits [..., n] and of action values [..., n], which reads `counterfactuals`."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"coma needs a discrete action space, got {action_space}")
    n = action_space.n
    distribution = distributions.head(action_space).distribution

    def values(params: Tree, obs: Observation, action: Array) -> Array:
        """Q [..., A, n] of every action of each agent, the others' as they are."""
        return critic.step(params, (), counterfactuals(obs, action, n), jnp.zeros(action.shape, bool))[1]

    def init(key: Key, timestep: Timestep) -> State:
        actor_key, critic_key = jax.random.split(key)
        action = jnp.zeros(timestep.reward.shape, action_space.dtype)
        params = Both(
            actor.init(actor_key, teams.rows(timestep.obs, config.identity)),
            critic.init(critic_key, teams.merge(counterfactuals(timestep.obs, action, n))),
        )
        optimiser = Both(*(direction.init(trees.ravel(part)[0]) for part in params))
        return State(params, params.critic, optimiser, trees.traced(config), jnp.zeros((), jnp.int32))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        num_agents, obs = timestep.reward.shape[1], teams.rows(timestep.obs, config.identity)
        carry, logits = actor.step(state.params.actor, carry, obs, teams.merge(timestep.first))
        policy = distribution(logits, obs.legal)
        action = policy.sample(seed=key) if explore else policy.mode()
        return teams.split(action, num_agents), carry, ()

    def critic_loss(params: Tree, hyper: Config, carry: Tree, items: Item) -> tuple[Array, dict[str, Array]]:
        chosen = value_targets.chosen(values(params, items.obs, items.action), items.action)
        error = losses.mean(0.5 * (chosen - items.target) ** 2, items.weight)
        return error, {"value_loss": error}

    def improve(state: State, carry: Tree, steps: Transition, seen: Transition, logits: Any) -> tuple[Any, Any]:
        """A gradient step of the actor, on steps of the team, which `seen` are as rows -> (params, optimiser), metrics.

        logits: what the actor says of them now.
        """
        weight = steps.valid.astype(jnp.float32)
        every = values(state.params.critic, steps.obs, steps.action)
        policy = distribution(teams.split(logits, steps.reward.shape[2], 1), steps.obs.legal)
        expected = jnp.sum(jnp.exp(policy.logits) * every, -1) if config.counterfactual else 0.0
        advantage = value_targets.chosen(every, steps.action) - expected
        advantage = losses.standardise(advantage, weight) if config.standardise else advantage

        def loss(params: Tree) -> tuple[Array, dict[str, Array]]:
            _, logits = actor.unroll(params, carry, seen.obs, seen.first)
            policy = distribution(teams.split(logits, steps.reward.shape[2], 1), steps.obs.legal)
            policy_loss = -losses.mean(advantage * policy.log_prob(steps.action), weight)
            entropy = losses.mean(policy.entropy(), weight)
            metrics = {"policy_loss": policy_loss, "entropy": entropy}
            return policy_loss - state.config.entropy_coefficient * entropy, metrics

        per_update = config.num_epochs * config.num_minibatches
        rate = schedules.learning_rate(state.config, state.gradient_steps, per_update)
        params, optimiser, metrics = losses.gradient_step(
            loss, state.params.actor, state.optimiser.actor, direction, rate, state.config.max_gradient_norm
        )
        return (params, optimiser), metrics

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        fit_key, draw_key = jax.random.split(key)
        steps, hyper = rollouts.blank_invalid(rollout.steps), state.config
        num_agents = steps.reward.shape[2]
        seen = teams.row_steps(steps, config.identity)
        _, logits, next_logits = on_policy.look(actor, state.params.actor, rollout.carry, seen)
        following = distribution(next_logits, seen.next_obs.legal).sample(seed=draw_key)
        following = teams.split(following, num_agents, 1)
        ahead = value_targets.chosen(values(state.target, steps.next_obs, following), following)
        target = returns.lambda_returns(
            steps.reward, ahead, steps.terminated, steps.truncated, hyper.discount, hyper.trace_decay, steps.valid
        )
        items = Item(steps.obs, steps.action, target, steps.valid.astype(jnp.float32))
        fitted = state._replace(params=state.params.critic, optimiser=state.optimiser.critic)
        fitted, metrics = on_policy.descend(
            fit_key, critic_loss, on_policy.chunks((), items, 1), fitted, config, direction
        )
        now = state._replace(params=state.params._replace(critic=fitted.params))
        (params, optimiser), told = improve(now, rollout.carry, steps, seen, logits)
        return State(
            Both(params, fitted.params), off_policy.follow(state.target, fitted.params, hyper.target_rate),
            Both(optimiser, fitted.optimiser), hyper, fitted.gradient_steps,
        ), metrics | {name: Mean.of(x) for name, x in told.items()}  # fmt: skip

    return Agent(init, actor.begin, act, learn)


def counterfactuals(obs: Observation, action: Array, num_actions: int) -> Observation:
    """What the critic reads for each agent [..., A]: the world, its number, its features, what the others do."""
    num_agents = action.shape[-1]
    chosen = jax.nn.one_hot(action, num_actions)[..., None, :, :] * (1 - jnp.eye(num_agents))[:, :, None]
    parts = [teams.with_state(obs).state, obs.features, chosen.reshape(*action.shape, -1)]
    return Observation(jnp.concatenate(parts, -1))
