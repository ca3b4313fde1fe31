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

from jaxrl import distributions, losses, spaces
from jaxrl.agents import off_policy, value_heads, value_targets
from jaxrl.agents.normalisers import normalise, running
from jaxrl.agents.off_policy import State
from jaxrl.agents.schedules import epsilon
from jaxrl.agents.value_heads import Target, ValueHead
from jaxrl.agents.value_targets import Backup
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.types import Agent, Array, Buffer, Key, Network, Observation, Sample, Timestep, Tree


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
        actions = jnp.zeros(timestep.reward.shape, action_space.dtype)
        memory = buffer.init(example_rollout(timestep, actions, ()))
        moments = running(timestep, config.normalise_observations, False)
        return off_policy.begin(network.init(key, timestep.obs), direction, config, memory, moments)

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        hyper, (explore_key, noise_key) = state.config, jax.random.split(key)
        obs = normalise(state.normalisers, timestep.obs)
        _, out = network.step(state.params, (), obs, timestep.first, noise_key if explore else None)
        action = distributions.epsilon_greedy(explore_key, head.values(out, hyper), epsilon(state, explore), obs.legal)
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

    step = off_policy.descent(buffer, direction, loss, config.target_period)
    return Agent(init, network.begin, act, off_policy.learner(buffer, step))
