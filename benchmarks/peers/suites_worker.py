"""Steps an environment of another suite with random actions and times it, in that suite's own virtual environment.

    python suites_worker.py '{"suite": "navix", "environment": "Navix-Empty-8x8-v0", ...}'    # tasks.Stepping as JSON

Prints one JSON line, with the keys that our own `stepping_worker.py` prints too. Each suite resets its rows itself, in
the way that its documentation shows.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

sys.path.append(str(Path(__file__).parents[1]))
import stepping  # noqa: E402


def gymnax(asked: dict[str, Any], n: int) -> stepping.World:
    """The carry is (observation, state)."""
    import gymnax as library

    env, params = library.make(asked["environment"])
    space = env.action_space(params)
    sample = stepping.discrete(int(space.n), (n,)) if hasattr(space, "n") else \
        stepping.continuous(space.low, space.high, (n, *space.shape))  # fmt: skip

    def reset(key: jax.Array) -> Any:
        return jax.vmap(env.reset, (0, None))(jax.random.split(key, n), params)

    def step(key: jax.Array, carry: Any, action: Any) -> Any:
        keys = jax.random.split(key, n)
        obs, state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
            keys, carry[1], action, params
        )
        return (obs, state), reward, terminated | truncated

    return stepping.World(reset, step, sample, lambda carry: carry[1])


def navix(asked: dict[str, Any], n: int) -> stepping.World:
    """The carry is navix's timestep, which holds the observation and the state; a reset is a step of its own."""
    import navix as library

    views = {
        "symbolic": library.observations.symbolic, "egocentric": library.observations.symbolic_first_person,
        "none": library.observations.none,
    }  # fmt: skip
    env = library.make(asked["environment"], observation_fn=views[asked["options"]["view"]])

    def reset(key: jax.Array) -> Any:
        return jax.vmap(env.reset)(jax.random.split(key, n))

    def step(key: jax.Array, carry: Any, action: Any) -> Any:
        timestep = jax.vmap(env.step)(carry, action)
        return timestep, timestep.reward, timestep.is_done()

    sample = stepping.discrete(len(env.action_set), (n,))
    return stepping.World(reset, step, sample, lambda carry: carry.replace(observation=None))


def xminigrid(asked: dict[str, Any], n: int) -> stepping.World:
    """The carry is (observation, state). Its own view is 7x7x2; the grid with the agent in it is the whole one."""
    import xminigrid as library
    from xminigrid.wrappers import GymAutoResetWrapper

    env, params = library.make(asked["environment"])
    env = GymAutoResetWrapper(env)

    def observe(timestep: Any) -> Any:
        state = timestep.state
        match asked["options"]["view"]:
            case "symbolic":
                agent = jnp.stack([jnp.uint8(255), state.agent.direction.astype(jnp.uint8)])
                return state.grid.astype(jnp.uint8).at[state.agent.position[0], state.agent.position[1]].set(agent)
            case "egocentric":
                return timestep.observation
        return ()

    def reset(key: jax.Array) -> Any:
        timestep = jax.vmap(env.reset, (None, 0))(params, jax.random.split(key, n))
        return jax.vmap(observe)(timestep), timestep

    def step(key: jax.Array, carry: Any, action: Any) -> Any:
        timestep = jax.vmap(env.step, (None, 0, 0))(params, carry[1], action)
        kept = timestep.replace(observation=carry[1].observation)  # no more than what the carry shows is computed
        return (jax.vmap(observe)(timestep), kept), timestep.reward, timestep.last()

    sample = stepping.discrete(env.num_actions(params), (n,))
    return stepping.World(reset, step, sample, lambda carry: carry[1].state)


def jaxmarl(asked: dict[str, Any], n: int) -> stepping.World:
    """The carry is (observations, state)."""
    import jaxmarl as library

    env = library.make(asked["environment"])
    num_actions = env.action_space(env.agents[0]).n
    draw = stepping.discrete(num_actions, (len(env.agents), n))

    def reset(key: jax.Array) -> Any:
        return jax.vmap(env.reset)(jax.random.split(key, n))

    def step(key: jax.Array, carry: Any, action: Any) -> Any:
        obs, state, rewards, ended, _ = jax.vmap(env.step)(jax.random.split(key, n), carry[1], action)
        return (obs, state), jnp.stack([rewards[name] for name in env.agents]), ended["__all__"]

    def sample(key: jax.Array) -> Any:
        return dict(zip(env.agents, draw(key), strict=True))

    return stepping.World(reset, step, sample, lambda carry: carry[1])


SUITES = {"gymnax": gymnax, "navix": navix, "xminigrid": xminigrid, "jaxmarl": jaxmarl}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    packages = (asked["suite"], "jax", "jaxlib", "flax")
    print(json.dumps(stepping.report(lambda n: SUITES[asked["suite"]](asked, n), asked, packages)))
