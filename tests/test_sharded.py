"""A buffer in parts on four devices deals as one buffer would. The test runs in a process with four CPU devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

DEVICES, BATCH, ROUNDS, CAPACITY = 4, 256, 400, 12


def measure(kind):
    """What four parts deal: how often each item is drawn, and whether items, updates and weights are right."""
    from jax.sharding import PartitionSpec
    from storing import part, stream

    from jaxrl.buffers import sharded
    from jaxrl.buffers.prioritized import prioritized
    from jaxrl.buffers.uniform import uniform

    steps = stream(12, 2, 0.2)
    steps = steps._replace(valid=np.ones_like(steps.valid), action=np.zeros_like(steps.action))
    law = {"uniform": sharded.UNIFORM, "prioritized": sharded.PRIORITIZED}[kind]
    make = {"uniform": uniform, "prioritized": prioritized}[kind]
    buffer = sharded.sharded(make(CAPACITY, BATCH, 3), law, "device")

    def run(key):
        """A part of `device + 1` rollouts [1, 2]; actions and priorities tell device and slot."""
        device = jax.lax.axis_index("device")
        state = jax.lax.pcast(buffer.init(part(steps, 0, 1)), "device", to="varying")
        full = state
        for i in range(4):
            rollout = part(steps, i, i + 1)
            numbers = CAPACITY * device + 2 * i + jnp.arange(2)[None]
            rollout = rollout._replace(steps=rollout.steps._replace(action=numbers.astype(jnp.int32)))
            full = buffer.add(full, rollout)
            state = jax.tree.map(lambda a, b, i=i: jnp.where(device >= i, a, b), full, state)
        ready = jnp.stack([buffer.ready(state), buffer.ready(full)])
        everything = CAPACITY * device + jnp.arange(CAPACITY)
        state = buffer.update(state, everything, jnp.where(everything % CAPACITY < 2 * device + 2, 1.0 + everything, 0))

        def deal(key):
            sample = buffer.sample(state, key, 0.9)
            return sample.indices, sample.items.action, sample.weights

        return jax.tree.map(lambda x: x[None], (jax.lax.map(deal, jax.random.split(key, ROUNDS)), ready))

    mesh = jax.make_mesh((DEVICES,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
    program = jax.shard_map(run, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec("device"))
    (indices, actions, weights), ready = jax.jit(program)(jax.random.key(0))
    assert indices.shape == (DEVICES, ROUNDS, BATCH // DEVICES)
    order = np.asarray(indices).ravel()
    return {
        "counts": np.bincount(order, minlength=DEVICES * CAPACITY).tolist(),
        "items_match": bool((indices == actions).all()), "ready": np.asarray(ready).tolist(),
        "highest_weights": np.asarray(weights).max((0, 2)).tolist(),
        "weights": dict(zip(order.tolist(), np.asarray(weights).ravel().tolist(), strict=True)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def figures():
    variables = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}", "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    done = subprocess.run([sys.executable, __file__], env=variables, capture_output=True, text=True, timeout=600)
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_four_parts_deal_as_one(kind, figures):
    """102,400 draws from parts of 2, 4, 6 and 8 items against the law of all 20: chi-square p above 0.001."""
    found = figures[kind]
    number = np.arange(DEVICES * CAPACITY)
    held = number % CAPACITY < 2 * (number // CAPACITY) + 2
    law = np.where(held, (1.0 + number) ** (0.6 if kind == "prioritized" else 0), 0)
    counts = np.asarray(found["counts"])
    assert counts.sum() == ROUNDS * BATCH and counts[~held].sum() == 0
    assert stats.chisquare(counts[held], (law / law.sum() * counts.sum())[held]).pvalue > 0.001
    alike = np.where(held, law / np.bincount(number // CAPACITY, law)[number // CAPACITY] / DEVICES, 0)
    assert stats.chisquare(counts[held], alike[held] * counts.sum()).pvalue < 0.001  # the control: equal shares
    assert found["items_match"] and found["ready"] == [[False, True]] * DEVICES
    np.testing.assert_allclose(found["highest_weights"], 1, rtol=1e-6)  # of each batch, over all devices
    if kind == "uniform":
        assert set(found["weights"].values()) == {1.0}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps({kind: measure(kind) for kind in ("uniform", "prioritized")}))
