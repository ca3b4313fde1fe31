"""Exploration by curiosity around any agent: it is paid for what it could not predict, beside what the world pays.

reward <- reward + coefficient * bonus / deviation of the bonus's discounted return

RND (Burda et al. 2019), of what a step reached:  bonus = mean((predictor(o') - target(o'))^2), target random and frozen
ICM (Pathak et al. 2017), of the step:            bonus = |forward(f(o), a) - f(o')|^2 / 2 = F, with features f that
                                                  minimise 0.8 I + 0.2 F, I = -log inverse(a | f(o), f(o'))

The bonus is that of the step itself: o' is what it reached, never the observation after a reset. It is added before the
inner agent learns, with what was known before the rollout; predictors and statistics change after that. An agent with
replay stores the sum, so its bonuses are those of the time when each step was new: they fall from visit to visit, and
what it learns of a state is their mean, much like a bonus by counts.

An episodic bonus is paid for the first visit of an episode alone (Zhang et al. 2021, NovelD, equation 3).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, keys, losses, networks, spaces, statistics, trees
from jaxrl.agents import on_policy, rollouts, visits
from jaxrl.agents.normalisers import Normalisers, running, scale_rewards
from jaxrl.errors import unknown
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Environment, Key, Network, Observation, Rollout, Timestep, Transition, Tree

_FORWARD = 0.2  # share of the forward model in ICM's loss: features that nobody could predict shrink
_LIMIT = 5.0  # of normalised features


class Config(NamedTuple):
    bonus: str | None = None  # rnd, icm
    episodic: bool = False  # pay for the first visit of an episode alone
    num_features: int = 32  # that are predicted
    num_epochs: int = 1  # of the predictor on each rollout
    num_minibatches: int = 1
    coefficient: float = 1.0
    learning_rate: float = 1e-3
    discount: float = 0.99  # of the return whose deviation scales the bonus


class State(NamedTuple):
    agent: Any  # the inner agent's
    params: Tree
    frozen: Tree  # parameters that are never learnt
    optimiser: optax.OptState
    config: Config
    gradient_steps: Array  # int32
    normalisers: Normalisers


class Bonus(NamedTuple):
    """What is surprising: pure functions of steps [...] whose features are normalised."""

    init: Callable[..., tuple[Tree, Tree]]  # (key, timestep) -> (params, frozen params)
    reward: Callable[..., Array]  # (params, frozen, steps [...]) -> [...], at least 0
    loss: Callable[..., Array]  # the same -> [...]: what makes a step known, where it is small


def rnd(network: Network) -> Bonus:
    """The error in predicting a random, frozen copy of the network, out [..., m], at what a step reached."""

    def init(key: Key, timestep: Timestep) -> tuple[Tree, Tree]:
        params_key, target_key = jax.random.split(key)
        return network.init(params_key, timestep.obs), network.init(target_key, timestep.obs)

    def error(params: Tree, frozen: Tree, steps: Transition) -> Array:
        target = jax.lax.stop_gradient(_out(network, frozen, steps.next_obs, steps.first))
        return jnp.mean((_out(network, params, steps.next_obs, steps.first) - target) ** 2, -1)

    return Bonus(init, error, error)


def icm(encoder: Network, inverse: Network, forward: Network, action_space: Any) -> Bonus:
    """The error in predicting the encoder's features [..., m] of what a step reached, from those before and the action.

    inverse: [..., 2 m] -> the outputs of the action space's head; forward: [..., m + the action's width] -> [..., m].
    """
    head = distributions.head(action_space)

    def encode(params: Tree, steps: Transition) -> tuple[Array, Array]:
        look = functools.partial(_out, encoder, params["encoder"], first=steps.first)
        return look(steps.obs), look(steps.next_obs)

    def init(key: Key, timestep: Timestep) -> tuple[Tree, Tree]:
        encoder_key, inverse_key, forward_key = jax.random.split(key, 3)
        params = encoder.init(encoder_key, timestep.obs)
        features = _out(encoder, params, timestep.obs, timestep.first)
        action = jnp.zeros((features.shape[0], *action_space.shape), action_space.dtype)
        return {
            "encoder": params,
            "inverse": inverse.init(inverse_key, jnp.concatenate([features, features], -1)),
            "forward": forward.init(forward_key, jnp.concatenate([features, _moves(action_space, action)], -1)),
        }, ()

    def surprise(params: Tree, steps: Transition, before: Array, after: Array) -> Array:
        known = jnp.concatenate([before, _moves(action_space, steps.action)], -1)
        expected = _out(forward, params["forward"], known, steps.first)
        return jnp.sum((expected - after) ** 2, -1) / 2

    def reward(params: Tree, frozen: Tree, steps: Transition) -> Array:
        return surprise(params, steps, *encode(params, steps))

    def loss(params: Tree, frozen: Tree, steps: Transition) -> Array:
        before, after = encode(params, steps)
        outputs = _out(inverse, params["inverse"], jnp.concatenate([before, after], -1), steps.first)
        free = jnp.zeros((*outputs.shape[:-1], head.num_free))  # deviations of 1: squared error
        guess, done = head.distribution(jnp.concatenate([outputs, free], -1)), spaces.clip(action_space, steps.action)
        return _FORWARD * surprise(params, steps, before, after) - (1 - _FORWARD) * guess.log_prob(done)

    return Bonus(init, reward, loss)


def around(agent: Agent, env: Environment, settings: networks.Settings, config: Config) -> Agent:
    """The agent with the bonus that a configuration names, of feed-forward networks with the layers of `settings`."""
    space = env.observation_space
    if isinstance(space, spaces.Discrete):  # as tabular agents read it
        return curious(agent, _bonus(config, settings, env.action_space), config, lambda obs: _one_hot(obs, space.n))
    return curious(agent, _bonus(config, settings, env.action_space), config)


def _bonus(config: Config, settings: networks.Settings, action_space: Any) -> Bonus:

    def network(num_outputs: int, channels: tuple[int, ...] = ()) -> Network:
        shape = settings._replace(cell=None, channels=channels, activation="relu")
        return networks.build(shape, lambda mlp: mlp(num_outputs))

    encoder = network(config.num_features, settings.channels)
    if config.bonus == "rnd":
        return rnd(encoder)
    if config.bonus == "icm":
        inverse = network(distributions.head(action_space).num_outputs)
        return icm(encoder, inverse, network(config.num_features), action_space)
    raise unknown("bonus of curiosity", str(config.bonus), ("rnd", "icm"))


def curious(
    agent: Agent, bonus: Bonus, config: Config, see: Callable[[Observation], Observation] = lambda obs: obs,
    direction: optax.GradientTransformation = optax.scale_by_adam(),
) -> Agent:  # fmt: skip
    """The agent, which acts as before and learns from rewards [T, N] that hold the bonus of each step.

    `see` is what stands between observations and the bonus.
    """

    def init(key: Key, timestep: Timestep) -> State:
        seen = timestep._replace(obs=see(timestep.obs))
        params, frozen = bonus.init(keys.apart(key), seen)
        optimiser, zero = direction.init(trees.ravel(params)[0]), jnp.zeros((), jnp.int32)
        moments = running(seen, True, True)
        return State(agent.init(key, timestep), params, frozen, optimiser, trees.traced(config), zero, moments)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        if not config.episodic:
            return agent.act(state.agent, key, carry, timestep, explore)
        action, inner, extras = agent.act(state.agent, key, carry.agent, timestep, explore)
        return action, visits.remember(carry, inner, timestep), extras

    def begin(num_rows: int) -> Tree:
        inner = agent.begin(num_rows)
        return visits.begin(inner, num_rows) if config.episodic else inner

    def study(state: State, key: Key, steps: Transition) -> tuple[State, dict[str, Mean]]:
        """Epochs of gradient steps on steps [T, N, ...]."""

        def update(learnt: Any, batch: Transition) -> tuple[Any, dict[str, Array]]:
            def loss(params: Tree) -> tuple[Array, Array]:
                value = losses.mean(bonus.loss(params, state.frozen, batch), batch.valid.astype(jnp.float32))
                return value, value

            (params, optimiser, count), rate = learnt, state.config.learning_rate
            params, optimiser, value = losses.gradient_step(loss, params, optimiser, direction, rate, jnp.inf)
            return (params, optimiser, trees.count_up(count, 1)), {"curiosity_loss": value}

        axes = steps.valid.ndim
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[axes:]), steps)
        learnt = state.params, state.optimiser, state.gradient_steps
        learnt, metrics = on_policy.epochs(key, flat, config.num_epochs, config.num_minibatches, update, learnt)
        params, optimiser, count = learnt
        return state._replace(params=params, optimiser=optimiser, gradient_steps=count), metrics

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        steps = rollouts.blank_invalid(rollout.steps._replace(extras=()))
        pays = steps.valid
        if config.episodic:
            pays &= visits.are_new(rollout.carry.seen, steps.first, steps.obs, steps.next_obs)
            rollout = rollout._replace(carry=rollout.carry.agent)
        steps = steps._replace(obs=see(steps.obs), next_obs=see(steps.next_obs))
        normal = steps._replace(obs=_normal(state, steps.obs), next_obs=_normal(state, steps.next_obs))
        surprise = jnp.where(pays, bonus.reward(state.params, state.frozen, normal), 0.0)
        scaled, moments = scale_rewards(state.normalisers, steps._replace(reward=surprise), state.config.discount)
        reward = rollout.steps.reward + state.config.coefficient * scaled
        inner, metrics = agent.learn(state.agent, key, rollout._replace(steps=rollout.steps._replace(reward=reward)))
        state, studied = study(state, keys.apart(key), normal)
        told = metrics | studied | {"intrinsic_reward": Mean.of(scaled, steps.valid)}
        return state._replace(agent=inner, normalisers=moments), told

    return Agent(init, begin, act, learn)


def _normal(state: State, obs: Observation) -> Observation:
    return obs._replace(features=statistics.normalise(state.normalisers.observations, obs.features, _LIMIT))


def _one_hot(obs: Observation, n: int) -> Observation:
    return obs._replace(features=jax.nn.one_hot(obs.features, n))


def _out(network: Network, params: Tree, x: Any, first: Array) -> Array:
    """A feed-forward network's out [..., m] for an observation or an array whose batch axes are those of first."""
    return network.step(params, (), x, first)[1]


def _moves(space: Any, action: Array) -> Array:
    """An action [..., *shape] as a vector [..., d]: one-hot, or in units of its bounds."""
    match space:
        case spaces.Discrete(n=n):
            return jax.nn.one_hot(action, n)
        case spaces.MultiDiscrete(sizes=sizes):
            return jnp.concatenate([jax.nn.one_hot(action[..., i], n) for i, n in enumerate(sizes)], -1)
    low, high = space.bounds()
    scaled = (spaces.clip(space, action) - low) / (high - low) if space.bounded else action
    return scaled.reshape(*action.shape[: action.ndim - len(space.shape)], -1)
