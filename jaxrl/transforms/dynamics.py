"""What the world is: other dynamics in every episode, a task that never ends."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.errors import UsageError
from jaxrl.transforms.carried import Carried, carrying
from jaxrl.types import Environment, Key, Tree


def randomise(env: Environment, draw: Callable[[Key, Tree], Tree]) -> Environment:
    """Domain randomisation: each episode draws its own dynamics parameters, which its state then holds.

    draw: (key, params) -> params of the same shapes; its params are those that `reset` is given, by default the
    world's own. `vectorize(env, n, draw=draw)` draws the same numbers and keeps them in its rows: take that where all
    that runs is one vectorised world (an evaluation on the default params is then the world without `draw`), and this
    where the drawn world goes through further transforms, adapters or evaluations.
    """
    if not jax.tree.leaves(env.params):
        raise UsageError("randomise needs a world with params to draw: this one has none")
    pair = jax.eval_shape(lambda key, params: (params, draw(key, params)), jax.random.key(0), env.params)
    expected, found = jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", pair)
    if expected != found:
        raise UsageError(f"draw gives params {found}: expected {expected}, like the world's own")

    def reset(key: Key, params: Tree) -> tuple[Carried, Any]:
        reset_key, draw_key = jax.random.split(key)
        own = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.asarray(old).dtype), draw(draw_key, params), params)
        inner, obs = env.reset(reset_key, own)
        return Carried(inner, own), obs

    def step(key: Key, state: Carried, action: Tree, params: Tree) -> Any:
        inner, obs, reward, terminated = env.step(key, state.inner, action, state.memory)
        return Carried(inner, state.memory), obs, reward, terminated

    return carrying(env, lambda state, params: tuple(state))._replace(reset=reset, step=step)


def endless(env: Environment, restart_reward: float = 0.0) -> Environment:
    """A continuing task: no termination and no limit; where the world would terminate, it starts anew within the step.

    Such a step earns `restart_reward` on top of its own reward, and shows the new start. Measures are of the state
    that is there, so one that is only reached in an end is never reported.
    """
    if env.num_agents is not None:
        raise UsageError(f"endless needs a world of one agent, not {env.num_agents}: they need not end together")

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        step_key, reset_key = jax.random.split(key)
        state, obs, reward, ends = env.step(step_key, state, action, params)
        state, obs = jax.lax.cond(ends, lambda: env.reset(reset_key, params), lambda: (state, obs))
        return state, obs, reward + jnp.where(ends, jnp.float32(restart_reward), 0.0), jnp.zeros_like(ends)

    return env._replace(step=step, max_steps=None, model=None, hindsight=None)
