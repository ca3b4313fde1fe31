"""Deep Q-learning (Mnih et al. 2015) and what grew from it: replay, a target network, epsilon-greedy exploration.

y      = r + discount * Q(o', argmax_a' Q(o', a'; target); target)     (0 behind a termination, not a truncation)
loss   = E[huber(Q(o, a) - y)]
target <- target + target_rate * (params - target), every target_period gradient steps

Each variant is another part in the same place, and all combine: a `network` that is dueling or noisy (value_networks),
a `head` that estimates a distribution and its loss (value_heads), a `backup` that says how the next state is valued
(value_targets: double, munchausen), a `buffer` that deals n-step or prioritised experience.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, spaces, trees
from jaxrl.agents import rollouts, value_heads, value_targets
from jaxrl.agents.normalisers import Normalisers, normalise, running, scale_rewards
from jaxrl.agents.value_heads import Target, ValueHead
from jaxrl.agents.value_targets import Backup
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Buffer, Key, Network, Observation, Rollout, Sample, Timestep, Tree


class Config(NamedTuple):
    buffer_size: int = 10_000
    batch_size: int = 128
    learning_starts: int = 1_000  # transitions held before the first gradient step
    target_period: int = 1  # gradient steps between updates of the target
    double: bool = False  # the online network chooses the action of the target
    dueling: bool = False  # streams of the state's value and of the actions' advantages over it
    aggregation: str = "mean"  # the value of a dueling network is that of the mean action, or of the "max"
    noisy: bool = False  # exploration by noisy weights: set the epsilons to 0 beside it
    backup_steps: int = 1  # n of the n-step target
    prioritized: bool = False  # experience is dealt by its last error
    priority_exponent: int | float = 0.6  # 0: all alike
    importance_start: int | float = 0.4  # how far the weights make up for it, 1 after importance_updates
    importance_updates: int = 20_000  # gradient steps
    hindsight: str | None = None  # goals that were reached take the place of others: "future", "final", "episode"
    normalise_observations: bool = False
    head: str = "expected"  # what is estimated; or "categorical", "quantile", "implicit" (quantiles)
    num_atoms: int = 51  # of a categorical head, from value_low to value_high
    num_quantiles: int = 32  # of a quantile head; how many an implicit one draws
    soft: bool = False  # Munchausen's soft target
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
    value_low: float = -100.0
    value_high: float = 100.0
    munchausen: float = 0.9  # how much of the policy's log-probability is added to the reward
    munchausen_low: float = -1.0  # at least
    temperature: float = 0.03  # of the soft target


class State(NamedTuple):
    params: Tree
    target: Tree
    optimiser: optax.OptState
    config: Config
    buffer: Any  # observations are stored as they were
    normalisers: Normalisers
    env_steps: Array  # int32
    updates: Array  # int32: calls of learn
    gradient_steps: Array  # int32
    owed: Array  # float: the fraction of a gradient step that is still due


def dqn(
    network: Network,
    action_space: Any,
    config: Config,
    buffer: Buffer,
    head: ValueHead = value_heads.expected(),
    backup: Backup = value_targets.maximum,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
) -> Agent:
    """DQN over a feed-forward network whose out is what the head reads, by default action values [..., n]."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"dqn needs a discrete action space, got {action_space}")
    if jax.tree.leaves(jax.eval_shape(lambda: network.begin(1))):
        raise UsageError("dqn has no memory of its own, so its network cannot be recurrent: set cell to none")

    def init(key: Key, timestep: Timestep) -> State:
        params, zero = network.init(key, timestep.obs), jnp.zeros((), jnp.int32)
        actions = jnp.zeros(timestep.reward.shape, action_space.dtype)
        memory = buffer.init(example_rollout(timestep, actions, ()))
        moments, none = running(timestep, config.normalise_observations, False), jnp.zeros(())
        optimiser = direction.init(trees.ravel(params)[0])
        return State(params, params, optimiser, trees.traced(config), memory, moments, zero, zero, zero, none)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        hyper, (explore_key, noise_key) = state.config, jax.random.split(key)
        obs = normalise(state.normalisers, timestep.obs)
        progress = jnp.minimum(state.env_steps / hyper.epsilon_steps, 1.0)
        epsilon = hyper.epsilon_start + (hyper.epsilon_end - hyper.epsilon_start) * progress if explore else 0.0
        _, out = network.step(state.params, (), obs, timestep.first, noise_key if explore else None)
        action = distributions.epsilon_greedy(explore_key, head.values(out, hyper), epsilon, obs.legal)
        return action.astype(action_space.dtype), carry, ()

    def evaluate(params: Tree, obs: Observation, key: Key) -> Any:
        """The network's out [B, ...]; noisy weights are drawn once for all of obs [B, ...]."""
        first = jnp.zeros((1, jax.tree.leaves(obs)[0].shape[0]), bool)
        _, out = network.unroll(params, (), jax.tree.map(lambda x: x[None], obs), first, key)
        return jax.tree.map(lambda x: x[0], out)

    def loss(params: Tree, state: State, sample: Sample, keys: Key) -> tuple[Array, Any]:
        hyper, (online_key, target_key, chooser_key) = state.config, keys
        obs, next_obs = (normalise(state.normalisers, obs) for obs in (sample.items.obs, sample.items.next_obs))
        items = sample.items._replace(obs=obs, next_obs=next_obs)
        out, next_out = evaluate(params, items.obs, online_key), evaluate(state.target, items.next_obs, target_key)
        reward, policy = backup(
            items,
            head.values(next_out, hyper),
            lambda obs: head.values(evaluate(params, obs, chooser_key), hyper),
            lambda obs: head.values(evaluate(state.target, obs, target_key), hyper),
            hyper,
        )
        target = jax.lax.stop_gradient(Target(reward, items.discount, next_out, policy))
        action = jax.nn.one_hot(items.action, action_space.n)
        each, priority = head.loss(out, action, target, hyper)
        metrics = {
            "loss": losses.mean(sample.weights * each, items.valid),
            "q": losses.mean(value_heads.under(action, head.values(out, hyper)), items.valid),
        }
        return metrics["loss"], (metrics, priority)

    def gradient_step(i: Array, state: State, key: Key) -> tuple[State, dict[str, Array]]:
        hyper, keys = state.config, jax.random.split(jax.random.fold_in(key, i), 4)
        sample = buffer.sample(state.buffer, keys[0], hyper.discount)
        rate = hyper.learning_rate * jnp.maximum(1 - state.updates / hyper.total_updates, 0.0)
        params, optimiser, (metrics, priority) = losses.gradient_step(
            lambda params: loss(params, state, sample, keys[1:]),
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
        _, moments = scale_rewards(state.normalisers, rollout.steps, state.config.discount)
        return state._replace(normalisers=moments, updates=trees.count_up(state.updates, 1)), metrics

    return Agent(init, network.begin, act, learn)
