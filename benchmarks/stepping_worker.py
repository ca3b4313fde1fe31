"""Steps an environment of jaxrl with random actions and times it, in a process of its own; `throughput.py` starts it.

    python stepping_worker.py '{"environment": "cartpole", ...}'        # tasks.Stepping as JSON

Prints one JSON line, with the keys that `peers/suites_worker.py` prints too.
"""

import json
import sys
from typing import Any

import jax
import stepping


def world(asked: dict[str, Any], num_rows: int) -> stepping.World:
    """N environments of jaxrl; where the shortest episode is known, their starts come from a reservoir."""
    from jaxrl import envs
    from jaxrl.vectorize import vectorize

    env = envs.make(asked["environment"], **asked["options"])
    shortest = asked["shortest"]
    venv = vectorize(env, num_rows, renewed=-(-num_rows // shortest) if shortest else None)
    space, agents = env.action_space, () if env.num_agents is None else (env.num_agents,)
    shape = (num_rows, *agents, *space.shape)
    sample = stepping.discrete(space.n, shape) if hasattr(space, "n") else \
        stepping.continuous(*space.bounds(), shape)  # fmt: skip

    def reset(key: jax.Array) -> Any:
        state, timestep = venv.reset(key, env.params)
        return timestep.obs, state

    def step(key: jax.Array, carry: Any, action: Any) -> Any:
        state, timestep = venv.step(key, carry[1], action, env.params)
        ended = timestep.first.reshape(num_rows, -1).all(-1)
        return (timestep.obs, state), timestep.reward, ended

    def counts(carry: Any) -> dict[str, Any]:
        reused = 0 if carry[1].reservoir == () else carry[1].reservoir.reused
        return {"reused_starts": reused}

    return stepping.World(reset, step, sample, lambda carry: carry[1], (env.max_steps or 0) + 1, counts)


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """The figures of all numbers of rows; a start that was dealt twice spoils them."""
    done = stepping.report(lambda n: world(asked, n), asked, ("jaxrl", "jax", "jaxlib", "gymnax"))
    reused = {n: figures["reused_starts"] for n, figures in done["rows"].items()}
    if any(reused.values()):
        raise SystemExit(f"starts were dealt twice, by number of rows: {reused}; give {asked} a smaller `shortest`")
    return done


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
