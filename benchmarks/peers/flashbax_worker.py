"""Times a flat buffer of flashbax, in a virtual environment of its own; `throughput.py` starts it.

    python flashbax_worker.py '{"kind": "uniform", ...}'        # tasks.Replaying as JSON

Prints one JSON line, with the keys that `replay_worker.py` prints too. A flat buffer deals two neighbouring steps of a
row, so it stores each observation once, and what an episode reached at its end not at all.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parents[1]))  # `replay.py` imports nothing of ours

import replay  # noqa: E402

KEPT = ("obs", "action", "reward", "ended")


def side(asked: dict[str, Any], capacity: int) -> replay.Side:
    import flashbax

    settings = {
        "max_length": capacity, "min_length": asked["batch"], "sample_batch_size": asked["batch"],
        "add_sequences": False, "add_batch_size": asked["add"],
    }  # fmt: skip
    with_priorities = asked["kind"] == "prioritized"
    buffer = (
        flashbax.make_prioritised_flat_buffer(**settings, priority_exponent=0.6, device=jax.default_backend())
        if with_priorities
        else flashbax.make_flat_buffer(**settings)
    )

    def kept(block: dict[str, Any]) -> dict[str, Any]:
        return {name: block[name] for name in KEPT}

    def init(block: dict[str, Any]) -> Any:
        return buffer.init(jax.tree.map(lambda x: x[0], kept(block)))

    def sample(state: Any, key: jax.Array) -> Any:
        drawn = buffer.sample(state, key)
        step, after = drawn.experience.first, drawn.experience.second
        weights = drawn.probabilities if with_priorities else jnp.ones(asked["batch"])
        return (step, after["obs"]), step["reward"], drawn.indices if with_priorities else (), weights

    def update(state: Any, indices: Any, priorities: Any) -> Any:
        return buffer.set_priorities(state, indices, priorities) if with_priorities else state

    def num_bytes(block: dict[str, Any]) -> dict[str, int]:
        leaves = jax.tree.leaves(jax.eval_shape(init, block))
        return {"transitions": sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)}

    return replay.Side(init, lambda state, block: buffer.add(state, kept(block)), sample, update, num_bytes)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(replay.report(lambda capacity: side(asked, capacity), asked, ("flashbax", "jax", "jaxlib"))))
