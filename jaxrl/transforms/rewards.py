"""What is earned: rewards on another scale, rewards that show the way."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.errors import UsageError, within
from jaxrl.types import Array, Environment, Key, Model, Tree


def scale_reward(env: Environment, scale: float) -> Environment:
    """Every reward times `scale`, those of the exact model and of hindsight too."""

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        state, obs, reward, terminated = env.step(key, state, action, params)
        return state, obs, reward * jnp.float32(scale), terminated

    def scaled(params: Tree) -> Model:
        model = env.model(params)  # type: ignore[misc]  # there is one, where this is asked for
        return model._replace(reward=model.reward * scale)

    def judge(achieved: Tree, goal: Tree) -> tuple[Array, Array]:
        reward, terminated = env.hindsight(achieved, goal)  # type: ignore[misc]
        return reward * jnp.float32(scale), terminated

    return env._replace(
        step=step, model=None if env.model is None else scaled, hindsight=None if env.hindsight is None else judge
    )


def shape_reward(env: Environment, potential: Callable[[Any, Tree], Array], discount: float) -> Environment:
    """reward + discount * potential(after) - potential(before), which leaves every best policy a best one.

    potential: (state, params) -> float [], or [A]. It is 0 where a transition terminates, whatever the function says,
    and itself where an episode is only cut off (Ng, Harada & Russell 1999). `discount` is the learner's. Every return
    from a state, discounted, is then the old one minus the state's potential.
    """
    within("discount", discount, 0, 1)
    agents = () if env.num_agents is None else (env.num_agents,)
    state = jax.eval_shape(lambda key, params: env.reset(key, params)[0], jax.random.key(0), env.params)
    shapes = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(jax.eval_shape(potential, state, env.params))]
    if shapes not in ([((), jnp.float32)], [(agents, jnp.float32)]):
        raise UsageError(f"the potential is {shapes}: expected one float32 of shape (){f' or {agents}' * bool(agents)}")

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        before = potential(state, params)
        state, obs, reward, terminated = env.step(key, state, action, params)
        after = jnp.where(terminated, 0.0, potential(state, params))
        return state, obs, reward + discount * after - before, terminated

    return env._replace(step=step, model=None, hindsight=None)
