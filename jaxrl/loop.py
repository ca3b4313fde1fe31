"""The one training loop: collect a rollout, learn from it. Every agent, on-policy or off-policy, runs through it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import spaces, trees
from jaxrl.keys import inline
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Rollout, Timestep, Trainer, TrainState, Transition, Tree, VecEnv


def collect(agent: Agent, venv: VecEnv, length: int) -> Callable[..., Any]:
    """A function that lets the agent act for T = length steps and returns what happened.

    (key, agent_state, env, timestep, carry, task, explore=True)
    -> (env, timestep, carry, Rollout [T, N, ...], info {name: [T, N]}).
    """

    def rollout(
        key: Key, agent_state: Any, env: Any, timestep: Timestep, carry: Tree, task: Tree, explore: bool = True
    ) -> tuple[Any, Timestep, Tree, Rollout, dict[str, Array]]:
        def step(state: Any, keys: Key) -> tuple[Any, Any]:
            env, timestep, carry = state
            action, carry, extras = agent.act(agent_state, keys[0], carry, timestep, explore)
            env, after = venv.step(keys[1], env, action, task)
            transition = Transition(
                timestep.obs, timestep.first, action, after.reward, after.terminated, after.truncated, after.valid,
                after.final_obs, extras,
            )  # fmt: skip
            return (env, after, carry), (transition, after.info)

        keys = jax.random.split(inline(key), (length, 2))
        (env, timestep, after), (steps, info) = jax.lax.scan(step, (env, timestep, carry), keys)
        return env, timestep, after, Rollout(steps, carry), info

    return rollout


def make_trainer(
    agent: Agent, venv: VecEnv, rollout_length: int, update_task: Callable[..., Tree] | None = None
) -> Trainer:
    """Training as a pure step: a rollout of T steps of N rows, then one `learn`.

    `update_task` (key, task, rollout, info) -> task is where a curriculum lives; the task starts as `venv.params`.
    """
    roll = collect(agent, venv, rollout_length)

    def init(key: Key) -> TrainState:
        key, env_key, agent_key = jax.random.split(inline(key), 3)
        task = jax.tree.map(jnp.asarray, venv.params)
        env, timestep = venv.reset(env_key, task)
        carry = agent.begin(venv.num_rows)
        return TrainState(key, agent.init(agent_key, timestep), env, timestep, carry, task, jnp.zeros((), jnp.int32))

    def step(state: TrainState) -> tuple[TrainState, dict[str, Mean]]:
        key, act_key, learn_key, task_key = jax.random.split(state.key, 4)
        env, timestep, carry, rollout, info = roll(
            act_key, state.agent, state.env, state.timestep, state.carry, state.task
        )
        agent_state, metrics = agent.learn(state.agent, learn_key, rollout)
        task = update_task(task_key, state.task, rollout, info) if update_task else state.task
        last = rollout.steps.ended & rollout.steps.valid  # a value per world of agents counts where all have ended
        worlds = rollout.steps.ended.reshape(*last.shape[:2], -1).all(-1)
        episodes = {name: Mean.of(x, last if x.ndim == last.ndim else worlds) for name, x in info.items()}
        legal = rollout.steps.obs.legal
        if legal is not None:  # a compiled program cannot stop at a mask that forbids everything, but says so
            nowhere = spaces.none_legal(venv.action_space, legal).astype(jnp.float32)
            metrics = metrics | {"no_legal_action": Mean.of(nowhere, rollout.steps.valid)}
        updates = trees.count_up(state.updates, 1)
        return TrainState(key, agent_state, env, timestep, carry, task, updates), episodes | metrics

    return Trainer(init, step, rollout_length * venv.num_envs)


def train(trainer: Trainer, num_updates: int) -> Callable[[Key], tuple[TrainState, dict[str, Mean]]]:
    """The whole training as one pure function of a key: jit it, vmap it over keys."""
    return lambda key: jax.lax.scan(lambda state, _: trainer.step(state), trainer.init(key), length=num_updates)
