"""Value decomposition for teams with one reward: VDN (Sunehag et al. 2018) and QMIX (Rashid et al. 2018).

Q_tot(o, a) = mix(Q(o_1, a_1), ..., Q(o_A, a_A); s)        (a sum, or monotonic in each of them, with weights made of s)
y           = r + discount * Q_tot(o', argmax_a' Q_i(o_i', a_i'); target)          (0 behind the end of all agents)
loss        = E[(Q_tot(o, a) - y)^2 / 2],  r the mean reward of those who live
target     <- target + target_rate * (params - target), every target_period gradient steps

As the mix rises with each value, what is best for each agent alone is best for the team. Agents share one network,
recurrent if asked for, which learns from windows of steps; who has terminated has the value 0.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, spaces
from jaxrl.agents import off_policy, on_policy, teams, value_targets
from jaxrl.agents.off_policy import State
from jaxrl.agents.schedules import epsilon
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.types import Agent, Array, Buffer, Key, Network, Observation, Sample, Timestep, Tree


class Config(NamedTuple):
    buffer_size: int = 50_000  # steps of a world
    batch_size: int = 32  # windows
    learning_starts: int = 1_000  # steps held before the first gradient step
    length: int = 8  # steps of a window
    identity: bool = True  # agents see their number, one-hot
    mixing: str = "monotonic"  # or "sum"
    mixing_size: int = 32
    double: bool = True  # the online network chooses the actions of the target
    target_period: int = 1  # gradient steps between updates of the target
    learning_rate: float = 1e-3
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    gradient_steps: float = 0.1  # per environment step, whatever the number of rows
    discount: float = 0.99
    target_rate: float = 0.01  # 1: the target becomes a copy
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: float = 10_000.0  # environment steps from start to end
    max_gradient_norm: float = 10.0


class Params(NamedTuple):
    values: Tree
    mixer: Tree


def qmix(
    network: Network,
    mixer: Network,
    action_space: Any,
    num_agents: int,
    config: Config,
    buffer: Buffer,
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-8),
) -> Agent:
    """A team [N, A] over a network of action values [..., n], a mixer, and a buffer of windows."""
    if not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"qmix needs a discrete action space, got {action_space}")

    def mix(params: Tree, values: Array, obs: Observation) -> Array:
        """The value of the team, from those of the agents, as rows [L, B * A]: -> [L, B]."""
        values = teams.split(values, num_agents, 1)
        return mixer.step(params, (), (values, teams.world(obs)), jnp.zeros(values.shape[:-1], bool))[1]

    def init(key: Key, timestep: Timestep) -> State:
        value_key, mixer_key = jax.random.split(key)
        num_rows, values = timestep.reward.size, jnp.zeros(timestep.reward.shape)
        actions = jnp.zeros(values.shape, action_space.dtype)
        memory = teams.split(network.begin(num_rows), num_agents)
        params = Params(
            network.init(value_key, teams.rows(timestep.obs, config.identity)),
            mixer.init(mixer_key, (values, teams.world(timestep.obs))),
        )
        return off_policy.begin(params, direction, config, buffer.init(example_rollout(timestep, actions, memory)))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Tree]:
        obs, first = teams.rows(timestep.obs, config.identity), teams.merge(timestep.first)
        after, values = network.step(state.params.values, carry, obs, first)
        values = teams.split(values, num_agents)
        action = distributions.epsilon_greedy(key, values, epsilon(state, explore), timestep.obs.legal)
        return action.astype(action_space.dtype), after, teams.split(carry, num_agents)  # a window begins with it

    def loss(params: Params, state: State, sample: Sample, keys: Key) -> tuple[Array, Any]:
        steps, hyper = sample.items.steps, state.config
        seen, carry = teams.row_steps(steps, config.identity), teams.merge(sample.items.carry)
        _, values, ahead = on_policy.look(network, params.values, carry, seen)
        _, _, target_ahead = on_policy.look(network, state.target.values, carry, seen)
        judge = distributions.masked(ahead if config.double else target_ahead, seen.next_obs.legal)
        chosen = jnp.where(seen.valid, value_targets.chosen(values, seen.action), 0.0)
        best = jnp.where(seen.valid & ~seen.terminated, value_targets.chosen(target_ahead, jnp.argmax(judge, -1)), 0.0)
        reward = jnp.sum(steps.reward, -1) / jnp.maximum(jnp.sum(steps.valid, -1), 1)  # (0 of who is not valid)
        goes_on = jnp.where(steps.terminated.all(-1), 0.0, hyper.discount)
        target = reward + goes_on * mix(state.target.mixer, best, steps.next_obs)
        total = mix(params.mixer, chosen, steps.obs)
        error, valid = total - jax.lax.stop_gradient(target), steps.valid.any(-1)
        metrics = {"loss": losses.mean(0.5 * error**2, valid), "q": losses.mean(total, valid)}
        return metrics["loss"], (metrics, jnp.max(jnp.abs(error), 0))

    step = off_policy.descent(buffer, direction, loss, config.target_period)
    return Agent(init, network.begin, act, off_policy.learner(buffer, step, num_agents=num_agents))
