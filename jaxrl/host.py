"""Training on environments that step on the host: act on the device, step on the host, learn on the device.

    vector_env = gymnasium.make_vec("CartPole-v1", 8)
    agent = host.make_agent("ppo", vector_env)
    state, metrics = host.train(agent, vector_env, rollout_length=128, num_updates=100)

The agent is the one that trains in one program with environments of ours; its `act` and its `learn` are compiled once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import agents, networks, spaces
from jaxrl.errors import UsageError, at_least
from jaxrl.host_parallel import pettingzoo_rows
from jaxrl.host_rows import HostRows, gymnasium_rows
from jaxrl.keys import inline
from jaxrl.run import Hook, Metrics
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Environment, Key, Rollout, Timestep, Trainer, TrainState, Transition, Tree


def rows(environment: Any, measures: Sequence[str] = ()) -> HostRows:
    """The rows of a Gymnasium vector, of a PettingZoo parallel world, or of a list of such worlds.

    measures: names in the info of a Gymnasium vector whose values are reported, such as "is_success".
    """
    if isinstance(environment, HostRows):
        return environment
    if hasattr(environment, "single_observation_space"):
        return gymnasium_rows(environment, measures)
    first = environment[0] if isinstance(environment, Sequence) and environment else environment
    if hasattr(first, "possible_agents"):
        return pettingzoo_rows(environment)
    raise UsageError(
        f"{type(environment).__name__} cannot be stepped as rows: expected a gymnasium.vector.VectorEnv (a single "
        "environment: gymnasium.make_vec or SyncVectorEnv) or a pettingzoo.ParallelEnv"
    )


def make_agent(
    algorithm: str, environment: Any, settings: networks.Settings = networks.Settings(), config: Any = None
) -> Agent:
    """The agent of that name for an environment on the host; it reads the observations as they are shown."""
    plain = stand_in(rows(environment))
    adapted = agents.adapt(algorithm, plain, settings)
    agent = agents.make(algorithm, adapted, settings, config)
    if adapted is plain:
        return agent
    # An environment whose reset hands back what it is given: adapted, it encodes what is shown.
    mirror = agents.adapt(algorithm, plain._replace(reset=lambda obs, params: ((), obs)), settings)
    return _encoding(agent, lambda obs: mirror.reset(obs, ())[1])


def stand_in(environment: Any) -> Environment:
    """An environment of the same spaces in which nothing happens: what is read of spaces alone can be built for it."""
    its = rows(environment)

    def reset(key: Key, params: Tree) -> tuple[Any, Tree]:
        return (), spaces.sample(its.observation_space, key)

    def step(key: Key, state: Any, action: Tree, params: Tree) -> tuple[Any, ...]:
        return (), spaces.sample(its.observation_space, key), jnp.float32(0), jnp.bool_(False)

    return Environment(reset, step, its.observation_space, its.action_space)


def make_trainer(agent: Agent, environment: Any, rollout_length: int) -> Trainer:
    """Training as a step on the host: a rollout of T steps of N rows, then one `learn`.

    The keys are split as `loop.make_trainer` splits them. What the environment holds stays in it, so the state's `env`
    is (), and a state cannot be stepped twice.
    """
    at_least("rollout_length", rollout_length, 1)
    training = _Training(agent, rows(environment), rollout_length)
    return Trainer(training.init, training.step, rollout_length * training.rows.num_envs)


class _Training:
    def __init__(self, agent: Agent, its: HostRows, rollout_length: int) -> None:
        self.agent, self.rows, self.rollout_length = agent, its, rollout_length
        self.start, self.act, self.learn = (
            jax.jit(agent.init),
            jax.jit(_act(agent), donate_argnums=5),
            jax.jit(_learn(agent)),
        )
        self.made: Any = None  # actions and extras [T, N, ...] of the rollout, on the device

    def init(self, key: Key) -> TrainState:
        key, env_key, agent_key = jax.random.split(inline(key), 3)
        timestep = self.rows.reset(int(jax.random.randint(env_key, (), 0, 2**31 - 1)))
        agent_state = self.start(agent_key, timestep)
        carry = self.agent.begin(self.rows.num_rows)
        return TrainState(key, agent_state, (), timestep, carry, (), jnp.zeros((), jnp.int32))

    def step(self, state: TrainState) -> tuple[TrainState, dict[str, Mean]]:
        key, act_key, learn_key, _ = jax.random.split(state.key, 4)
        keys = jax.random.split(act_key, (self.rollout_length, 2))[:, 0]
        if self.made is None:
            self.made = _room(self.agent, state, self.rollout_length)
        seen, carry = [state.timestep], state.carry
        for t in range(self.rollout_length):
            action, carry, self.made = self.act(state.agent, keys, carry, seen[-1], np.int32(t), self.made)
            seen.append(self.rows.step(jax.tree.map(np.asarray, action)))
        before, after = _stack(seen[:-1]), _stack(seen[1:])
        agent_state, metrics = self.learn(state.agent, learn_key, state.carry, before, after, self.made)
        return TrainState(key, agent_state, (), seen[-1], carry, (), state.updates + 1), metrics


def train(
    agent: Agent,
    environment: Any,
    rollout_length: int,
    num_updates: int,
    hooks: Sequence[Hook] = (),
    key: Key | None = None,
    chunk: int = 1,
) -> tuple[TrainState, Metrics]:
    """Train an agent on an environment on the host -> (state, metrics [num_updates, ...]).

    key: of the whole training, by default that of seed 0. Hooks are called as those of `jaxrl.run.run`.
    """
    trainer = make_trainer(agent, environment, rollout_length)
    return run(trainer, trainer.init(jax.random.key(0) if key is None else key), num_updates, chunk, hooks)


def run(
    trainer: Trainer, state: TrainState, num_updates: int, chunk: int = 1, hooks: Sequence[Hook] = ()
) -> tuple[TrainState, Metrics]:
    """`jaxrl.run.run` for a trainer of this file: every `chunk` updates hook(env_steps, state, metrics) is called."""
    at_least("num_updates", num_updates, 1)
    at_least("chunk", chunk, 1)
    history: list[Metrics] = []
    for done in range(0, num_updates, chunk):
        updates = []
        for _ in range(min(chunk, num_updates - done)):
            state, metrics = trainer.step(state)
            updates.append(metrics)
        history.append(_stack(updates))
        for hook in hooks:
            hook(int(state.updates) * trainer.steps_per_update, state, history[-1])
    return state, jax.tree.map(lambda *chunks: np.concatenate(chunks), *history)


def _act(agent: Agent) -> Callable[..., Any]:
    """One step of all rows; what the agent made of it is written into `made` [T, ...], which stays on the device."""

    def act(state: Any, keys: Key, carry: Tree, timestep: Timestep, t: Any, made: Tree) -> tuple[Tree, Tree, Tree]:
        action, carry, extras = agent.act(state, keys[t], carry, timestep, True)
        return action, carry, jax.tree.map(lambda all_, new: all_.at[t].set(new), made, (action, extras))

    return act


def _room(agent: Agent, state: TrainState, length: int) -> Tree:
    """Zeros in place of the actions and extras of T steps."""
    action, _, extras = jax.eval_shape(agent.act, state.agent, state.key, state.carry, state.timestep)
    return jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), (action, extras))


def _learn(agent: Agent) -> Callable[..., Any]:
    def learn(
        state: Any, key: Key, carry: Tree, before: Timestep, after: Timestep, made: tuple[Tree, Tree]
    ) -> tuple[Any, dict[str, Mean]]:
        steps = Transition(
            before.obs, before.first, made[0], after.reward, after.terminated, after.truncated, after.valid,
            after.final_obs, made[1],
        )  # fmt: skip
        state, metrics = agent.learn(state, key, Rollout(steps, carry))
        last = steps.ended & steps.valid
        return state, {name: Mean.of(x, last) for name, x in after.info.items()} | metrics

    return learn


def _encoding(agent: Agent, encode: Callable[[Tree], Tree]) -> Agent:
    """The agent behind an encoding of single observations."""

    def read(timestep: Timestep) -> Timestep:
        many = jax.vmap(encode)
        return timestep._replace(obs=many(timestep.obs), final_obs=many(timestep.final_obs))

    def learn(state: Any, key: Key, rollout: Rollout) -> Any:
        many, steps = jax.vmap(jax.vmap(encode)), rollout.steps
        steps = steps._replace(obs=many(steps.obs), next_obs=many(steps.next_obs))
        return agent.learn(state, key, rollout._replace(steps=steps))

    return Agent(
        lambda key, timestep: agent.init(key, read(timestep)),
        agent.begin,
        lambda state, key, carry, timestep, explore=True: agent.act(state, key, carry, read(timestep), explore),
        learn,
    )


def _stack(parts: Sequence[Tree]) -> Tree:
    """Trees of arrays as one, stacked along a new first axis, on the host."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *parts)
