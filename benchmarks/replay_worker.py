"""Times a buffer of jaxrl in a process of its own; `throughput.py` starts it.

    python replay_worker.py '{"kind": "uniform", ...}'        # tasks.Replaying as JSON

Prints one JSON line, with the keys that `peers/flashbax_worker.py` prints too.
"""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import replay

from jaxrl.buffers import storage, sum_tree
from jaxrl.buffers.prioritized import prioritized
from jaxrl.buffers.uniform import uniform
from jaxrl.types import Observation, Rollout, Transition


def rollout(block: dict[str, Any]) -> Rollout:
    """A block [rows, ...] as a rollout of one step."""
    block = jax.tree.map(lambda x: x[None], block)
    no = jnp.zeros_like(block["ended"])
    steps = Transition(
        Observation(block["obs"]), no, block["action"], block["reward"], block["ended"], no, ~no,
        Observation(block["reached"]), (),
    )  # fmt: skip
    return Rollout(steps, ())


def side(asked: dict[str, Any], capacity: int) -> replay.Side:
    make = {"uniform": uniform, "prioritized": prioritized}[asked["kind"]]
    buffer = make(capacity, asked["batch"])

    def sample(state: Any, key: jax.Array) -> Any:
        dealt = buffer.sample(state, key, replay.DISCOUNT)
        return dealt.items, dealt.items.reward, dealt.indices, dealt.weights

    def num_bytes(block: dict[str, Any]) -> dict[str, int]:
        sizes = storage.num_bytes(rollout(block), capacity)
        tree = sum_tree.num_bytes(capacity) if asked["kind"] == "prioritized" else 0
        return sizes | {"transitions": sizes["transitions"] + tree}

    return replay.Side(
        lambda block: buffer.init(rollout(block)), lambda state, block: buffer.add(state, rollout(block)), sample,
        buffer.update, num_bytes,
    )  # fmt: skip


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(replay.report(lambda capacity: side(asked, capacity), asked, ("jaxrl", "jax", "jaxlib"))))
