"""Our worlds for other people's learners: Gymnasium (one environment, or a vector of them) and PettingZoo.

Neither library is imported before one of these functions is called.
"""

import functools
import importlib
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.envs import registry
from jaxrl.errors import UsageError
from jaxrl.types import Environment, Key, Observation, Tree

if TYPE_CHECKING:
    import gymnasium
    import pettingzoo

SPELLING = {"cartpole": "CartPole", "gridworld": "GridWorld", "mdp": "MDP", "minigrid": "MiniGrid"}


def to_gymnasium(
    env: Environment,
    params: Tree = None,
    render_mode: str | None = None,
    action_meanings: Sequence[str] | None = None,
) -> "gymnasium.Env":
    """A `gymnasium.Env` of one environment (of one agent), truncated at its `max_steps`.

    params: dynamics parameters other than the environment's own. render_mode: None or "rgb_array".
    info holds the environment's measures and, where it masks actions, `action_mask` int8 [n]. `get_valid_actions()`
    lists the legal actions, `get_action_meanings()` the names given here.
    """
    params = env.params if params is None else params
    return _module("gymnasium").GymnasiumEnv(env, params, render_mode, action_meanings)


def to_gymnasium_vector(
    env: Environment, num_envs: int, render_mode: str | None = None
) -> "gymnasium.vector.VectorEnv":
    """A `gymnasium.vector.VectorEnv` of N environments in one program, with auto-reset in the same step."""
    return _module("gymnasium", "_vector").GymnasiumVectorEnv(env, num_envs, render_mode)


def to_pettingzoo(env: Environment, params: Tree = None, render_mode: str | None = None) -> "pettingzoo.ParallelEnv":
    """A `pettingzoo.ParallelEnv` of a world of several agents, who leave it when they terminate."""
    return _module("pettingzoo").PettingZooEnv(env, env.params if params is None else params, render_mode)


def gymnasium_ids() -> dict[str, str]:
    """{id in Gymnasium: name here} of every world of one agent: {"jaxrl/GridWorld-v0": "gridworld", ...}."""
    return {f"jaxrl/{_camel(name)}-v0": name for name in registry.names() if not _multi_agent(name)}


def register() -> None:
    """Make every world of one agent known to `gymnasium.make`; doing it twice does no harm.

    Importing jaxrl does this by itself wherever gymnasium is imported as well.
    """
    registration = importlib.import_module("gymnasium.envs.registration")
    for name, world in gymnasium_ids().items():
        if name not in registration.registry:
            registration.register(
                name,
                "jaxrl.for_gymnasium:make",
                vector_entry_point="jaxrl.for_gymnasium_vector:make",
                kwargs={"world": world},
            )


def checked_action(space: Tree, action: Any, batch: tuple[int, ...] = ()) -> Tree:
    """action (leaves [*batch, *shape]) as numpy arrays of the space's dtypes; else a UsageError.

    Continuous entries beyond their bounds are brought to them, as `vectorize` does it.
    """
    leaves, structure = jax.tree.flatten(space, is_leaf=spaces.is_space)
    try:
        parts = structure.flatten_up_to(action)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise UsageError(f"action {action!r} is not nested like the action space {space}") from None
    return jax.tree.unflatten(structure, [_checked(*pair, batch) for pair in zip(leaves, parts, strict=True)])


def _checked(space: Any, action: Any, batch: tuple[int, ...]) -> np.ndarray:
    try:
        value = np.asarray(action)
    except ValueError:
        value = np.asarray(None)
    shape, wanted = (*batch, *space.shape), "integers" if np.issubdtype(space.dtype, np.integer) else "numbers"
    if value.shape != shape or value.dtype.kind not in ("iu" if wanted == "integers" else "iuf"):
        found = f"{value.dtype} of shape {value.shape}"
        raise UsageError(f"action {action!r} is {found}: expected {wanted} of shape {shape}")
    low, high = space.bounds()
    if isinstance(space, spaces.Box) and not np.isnan(value).any():
        return np.clip(value, low, high).astype(space.dtype)
    outside = ~((value >= low) & (value <= high))
    if outside.any():
        at = tuple(np.argwhere(outside)[0].tolist())
        lowest, highest = (np.broadcast_to(bound, shape)[at] for bound in (low, high))
        place = f" at {list(at)}" if at else ""
        raise UsageError(f"action {value[at]}{place} is out of range: expected {lowest} to {highest}")
    return value.astype(space.dtype)


class Programs:
    """The compiled functions of one environment, which all of its exported copies share.

    reset (key, params) -> (key, state, seen); step (key, state, action, params) -> (key, state, seen, reward,
    terminated), where seen is (obs, info): see `shown`.
    """

    def __init__(self, env: Environment) -> None:
        def reset(key: Key, params: Tree) -> tuple[Any, ...]:
            key, reset_key = jax.random.split(key)
            state, obs = env.reset(reset_key, params)
            return key, state, shown(env, state, obs, params)

        def step(key: Key, state: Any, action: Tree, params: Tree) -> tuple[Any, ...]:
            key, step_key = jax.random.split(key)
            state, obs, reward, terminated = env.step(step_key, state, action, params)
            return key, state, shown(env, state, obs, params), reward, terminated

        self.reset, self.step, self.render = jax.jit(reset), jax.jit(step), jax.jit(env.render) if env.render else None


def programs(env: Environment) -> Programs:
    return _programs(env.reset, env.step, env.legal_actions, env.measure, env.render)


@functools.lru_cache(maxsize=128)
def _programs(reset: Any, step: Any, legal_actions: Any, measure: Any, render: Any) -> Programs:
    return Programs(
        Environment(reset, step, None, None, legal_actions=legal_actions, measure=measure, render=render)
    )  # fmt: skip


def shown(env: Environment, state: Any, obs: Any, params: Tree) -> tuple[Tree, dict[str, Any]]:
    """(obs, info): features, or with a goal a dict as in Gymnasium-Robotics; measures and the mask of actions."""
    obs = obs if isinstance(obs, Observation) else Observation(obs)
    info = {} if env.measure is None else dict(env.measure(state, params))
    legal = obs.legal if env.legal_actions is None else env.legal_actions(state, params)
    return with_goal(obs), info if legal is None else info | {"action_mask": legal.astype(jnp.int8)}


def with_goal(obs: Observation) -> Tree:
    if obs.goal is None:
        return obs.features
    goals = {"observation": obs.features, "desired_goal": obs.goal, "achieved_goal": obs.achieved}
    return {name: value for name, value in goals.items() if value is not None}


def seen_space(env: Environment) -> Tree:
    """Our space of what `with_goal` shows of one agent; a goal lies in that of the features where it looks alike."""
    obs = jax.eval_shape(lambda: env.reset(jax.random.key(0), env.params)[1])
    obs = obs if isinstance(obs, Observation) else Observation(obs)
    if obs.goal is None:
        return env.observation_space
    agents = 0 if env.num_agents is None else 1

    def like(goal: Any) -> Any:
        space, shape = env.observation_space, goal.shape[agents:]
        if spaces.is_space(space) and (space.shape, np.dtype(space.dtype)) == (shape, goal.dtype):
            return space
        if np.issubdtype(goal.dtype, np.floating):
            return spaces.Box(-np.inf, np.inf, shape, goal.dtype)
        bounds = np.iinfo(goal.dtype)
        return spaces.Box(int(bounds.min), int(bounds.max), shape, goal.dtype)

    goals = {"desired_goal": obs.goal, "achieved_goal": obs.achieved}
    found = {name: jax.tree.map(like, goal) for name, goal in goals.items() if goal is not None}
    return {"observation": env.observation_space} | found


def _multi_agent(name: str) -> bool:
    """Worlds of several agents live in a package of their own."""
    return registry.CONSTRUCTORS[name].__module__.startswith("jaxrl.envs.multi.")


def _camel(name: str) -> str:
    return "".join(SPELLING.get(word, word.capitalize()) for word in name.split("_"))


def _module(library: str, part: str = "") -> Any:
    """One of the files jaxrl.for_<library>, which hold the classes derived from the library's own."""
    if importlib.util.find_spec(library) is None:
        raise UsageError(f"{library} is not installed; expected it: pip install {library}")
    return importlib.import_module(f"jaxrl.for_{library}{part}")
