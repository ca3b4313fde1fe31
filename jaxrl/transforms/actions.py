"""What is done: actions that stick, actions that are repeated."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import spaces, trees
from jaxrl.errors import within
from jaxrl.transforms.carried import Carried, carrying
from jaxrl.transforms.features import features_of, with_features
from jaxrl.types import Array, Environment, Key, Tree


def sticky(env: Environment, probability: float) -> Environment:
    """With this probability a step repeats the last action done (Machado et al. 2018, with 0.25), agent by agent.

    An episode's first action is always done, and an action that is no longer legal is not repeated.
    """
    within("probability", probability, 0, 1)
    agents = () if env.num_agents is None else (env.num_agents,)

    def reset(key: Key, params: Tree) -> tuple[Carried, Any]:
        inner, obs = env.reset(key, params)
        none = jax.tree.map(
            lambda space: jnp.zeros(agents + space.shape, space.dtype), env.action_space, is_leaf=spaces.is_space
        )
        return Carried(inner, (none, jnp.bool_(False))), obs

    def step(key: Key, state: Carried, action: Tree, params: Tree) -> Any:
        stick_key, step_key = jax.random.split(key)
        last, any_done = state.memory
        sticks = jax.random.bernoulli(stick_key, probability, agents) & any_done
        sticks &= _is_legal(env, state.inner, last, params)
        done = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), action, last)
        done = trees.where(sticks, last, done)
        inner, obs, reward, terminated = env.step(step_key, state.inner, done, params)
        return Carried(inner, (done, jnp.bool_(True))), obs, reward, terminated

    return env if probability == 0 else carrying(env)._replace(reset=reset, step=step)


def action_repeat(env: Environment, n: int) -> Environment:
    """Every action is done n times and the rewards are added up; `max_steps` counts the new, longer steps.

    The repetition stops at a termination and where the action is no longer legal. Of several agents the last one ends
    it; what another would see and earn after its own end is left out. A limit that n does not divide is rounded down.
    """
    limit = env.max_steps
    within("n", n, 1, math.inf if limit is None else limit)
    agents = () if env.num_agents is None else (env.num_agents,)

    def reset(key: Key, params: Tree) -> tuple[Carried, Any]:
        inner, obs = env.reset(key, params)
        return Carried(inner, jnp.zeros(agents, bool)), obs

    def step(key: Key, state: Carried, action: Tree, params: Tree) -> Any:
        def again(sofar: Any, key: Key) -> tuple[Any, None]:
            inner, reached, reward, terminated = sofar
            gone = terminated | state.memory
            goes_on = ~jnp.all(gone) & jnp.all(_is_legal(env, inner, action, params) | gone)
            inner, obs, more, ends = env.step(key, inner, action, params)
            obs = with_features(obs, trees.where(gone, features_of(reached), features_of(obs)))
            after = inner, obs, reward + jnp.where(gone, 0.0, more), terminated | ends
            return trees.where(goes_on, after, sofar), None

        keys = jax.random.split(key, n)
        once = env.step(keys[0], state.inner, action, params)
        (inner, obs, reward, terminated), _ = jax.lax.scan(again, once, keys[1:])
        return Carried(inner, state.memory | terminated), obs, reward, terminated

    if n == 1:
        return env
    longer = None if limit is None else limit // n
    return carrying(env)._replace(reset=reset, step=step, max_steps=longer, hindsight=None)


def _is_legal(env: Environment, state: Tree, action: Tree, params: Tree) -> Array:
    """bool [] (or [A]): the mask of this state allows the action."""
    if env.legal_actions is None:
        return jnp.bool_(True)
    return jnp.take_along_axis(env.legal_actions(state, params), action[..., None], -1)[..., 0]
