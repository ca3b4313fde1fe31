"""Deep deterministic policy gradient (Lillicrap et al. 2016), and its twin-delayed form TD3 (Fujimoto et al. 2018).

a'     = clip(policy(o'; target) + clip(noise, -c, c))          (the smoothing noise is TD3's; none in DDPG)
y      = r + discount * min_i Q_i(o', a'; target)                (0 behind a termination, not a truncation)
critic: descends E[sum_i (Q_i(o, a) - y)^2 / 2],    policy: ascends E[Q_1(o, policy(o))]
target <- target + target_rate * (params - target)

One round is `policy_delay` steps of the critics, each on a batch of its own, then one of the policy and of the
targets. As the targets rest within a round, all of its y are computed at once. Actions are in units of their bounds.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import keys, losses, trees
from jaxrl.action_networks import ensemble, evaluate
from jaxrl.agents import exploration, off_policy
from jaxrl.agents.exploration import Wandering
from jaxrl.agents.normalisers import normalise, running
from jaxrl.agents.off_policy import State
from jaxrl.agents.schedules import learning_rate
from jaxrl.buffers.uniform import example_rollout
from jaxrl.types import Agent, Array, Buffer, Experience, Key, Network, Timestep, Tree


class Config(NamedTuple):
    buffer_size: int = 100_000
    batch_size: int = 256
    learning_starts: int = 1_000  # transitions held before the first gradient step; actions are random until then
    num_critics: int = 1  # of which the smallest value counts
    policy_delay: int = 1  # steps of the critics for each of the policy and of the targets
    backup_steps: int = 1  # n of the n-step target
    prioritized: bool = False  # experience is dealt by its last error
    priority_exponent: int | float = 0.6  # 0: all alike
    importance_start: int | float = 0.4  # how far the weights make up for it, 1 after importance_updates
    importance_updates: int = 20_000  # gradient steps
    hindsight: str | None = None  # goals that were reached take the place of others: "future", "final", "episode"
    normalise_observations: bool = False
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    gradient_steps: float = 1.0  # of the critics, per environment step, whatever the number of rows
    discount: float = 0.99
    target_rate: float = 0.005
    exploration_noise: float = 0.2  # its deviation in units of the bounds, where 1 is half of their distance
    noise_reversion: float = 0.15  # 1: Gaussian; below: Ornstein-Uhlenbeck
    warm_up_hold: float = 1.0  # steps for which a random action of the beginning is held, on average
    target_noise: float = 0.0  # deviation of the smoothing noise, in units of the bounds
    target_noise_clip: float = 0.5
    output_penalty: float = 0.0  # times the mean square of the policy's out, added to its loss
    max_gradient_norm: float = math.inf


class Params(NamedTuple):
    policy: Tree
    critic: Tree  # [num_critics, ...]


def ddpg(
    policy: Network,
    critic: Network,
    action_space: Any,
    config: Config,
    buffer: Buffer,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
    num_agents: int = 1,
) -> Agent:
    """DDPG over networks of out [..., d] and of value [...]; the buffer deals policy_delay batches at once.

    Of a team of A agents, rows that stand together, critics read (own units, units that all took): see `maddpg`.
    """
    kind, critics = exploration.kind(action_space), ensemble(critic, config.num_critics)
    size = config.batch_size * num_agents
    total = size * config.policy_delay

    def read(obs: Any, own: Array, taken: Array) -> Any:
        return obs, own if num_agents == 1 else (own, taken)

    def init(key: Key, timestep: Timestep) -> State:
        policy_key, critic_key = jax.random.split(key)
        actions = jnp.zeros((*timestep.reward.shape, *action_space.shape), action_space.dtype)
        units = kind.to_units(actions)
        params = Params(
            policy.init(policy_key, timestep.obs), critics.init(critic_key, read(timestep.obs, units, units))
        )
        memory = buffer.init(example_rollout(timestep, actions, ()))
        moments = running(timestep, config.normalise_observations, False)
        state = off_policy.begin(params, direction, config, memory, moments)
        return state._replace(optimiser=Params(*(direction.init(trees.ravel(part)[0]) for part in params)))

    def begin(num_rows: int) -> Wandering:
        return exploration.begin(num_rows, kind.size)

    def act(state: State, key: Key, carry: Wandering, timestep: Timestep, explore: bool = True) -> tuple[Any, Any, Any]:
        obs = normalise(state.normalisers, timestep.obs)
        out = policy.step(state.params.policy, (), obs, timestep.first)[1]
        if not explore:
            return kind.mode(out, obs.legal), carry, ()
        random = state.env_steps < config.learning_starts
        action, carry = kind.explore(out, obs.legal, key, carry, timestep.first, state.config, random)
        return action, carry, ()

    def targets(state: State, items: Experience, key: Key) -> Array:
        """y [B]."""
        out = evaluate(policy, state.target.policy, items.next_obs, total)
        units = kind.smoothed(out, items.next_obs.legal, key, state.config)
        values = evaluate(critics, state.target.critic, read(items.next_obs, units, units), total)
        return items.reward + items.discount * jnp.min(values, axis=0)

    def critic_loss(params: Tree, batch: Any) -> tuple[Array, Any]:
        obs, units, target, weight, valid = batch
        values = evaluate(critics, params, read(obs, units, units), size)
        error = values - target
        loss = losses.mean(weight * 0.5 * jnp.sum(error**2, axis=0), valid)
        return loss, (loss, losses.mean(values[0], valid), jnp.max(jnp.abs(error), axis=0))

    def policy_loss(params: Tree, state: State, batch: Any, key: Key) -> tuple[Array, Array]:
        obs, taken, *_, valid = batch
        out = evaluate(policy, params, obs, size)
        one = jax.tree.map(lambda x: x[0], state.params.critic)
        value = evaluate(critic, one, read(obs, kind.units(out, obs.legal, key), taken), size)
        loss = -losses.mean(value, valid)
        return loss + state.config.output_penalty * losses.mean(jnp.mean(out**2, -1), valid), loss

    def learn_round(state: State, key: Key) -> tuple[State, dict[str, Array]]:
        hyper, (sample_key, noise_key) = state.config, jax.random.split(key)
        draw_key = keys.apart(key)
        sample = buffer.sample(state.buffer, sample_key, hyper.discount)
        obs, next_obs = (normalise(state.normalisers, obs) for obs in (sample.items.obs, sample.items.next_obs))
        items = sample.items._replace(obs=obs, next_obs=next_obs)
        batch = (obs, kind.to_units(items.action), targets(state, items, noise_key), sample.weights, items.valid)
        batches = jax.tree.map(lambda x: x.reshape(config.policy_delay, size, *x.shape[1:]), batch)
        rate = learning_rate(hyper, state.updates)

        def descend(both: Any, batch: Any) -> tuple[Any, Any]:
            params, optimiser, aux = losses.gradient_step(
                lambda params: critic_loss(params, batch), both[0], both[1], direction, rate, hyper.max_gradient_norm
            )
            return (params, optimiser), aux

        both = state.params.critic, state.optimiser.critic
        (critic_params, critic_optimiser), (loss, q, errors) = jax.lax.scan(descend, both, batches)
        state = state._replace(params=state.params._replace(critic=critic_params))
        policy_params, policy_optimiser, policy_value = losses.gradient_step(
            lambda params: policy_loss(params, state, jax.tree.map(lambda x: x[-1], batches), draw_key),
            state.params.policy, state.optimiser.policy, direction, rate, hyper.max_gradient_norm,
        )  # fmt: skip
        params = Params(policy_params, critic_params)
        return state._replace(
            params=params,
            target=off_policy.follow(state.target, params, hyper.target_rate),
            optimiser=Params(policy_optimiser, critic_optimiser),
            buffer=buffer.update(state.buffer, sample.indices, errors.reshape(total)),
            gradient_steps=trees.count_up(state.gradient_steps, config.policy_delay),
        ), {"loss": jnp.mean(loss), "q": jnp.mean(q), "policy_loss": policy_value}

    learn = off_policy.learner(buffer, learn_round, config.policy_delay, ("loss", "q", "policy_loss"), num_agents)
    return Agent(init, begin, act, learn)
