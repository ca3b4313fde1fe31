"""The ring that every buffer stands on: written in place, read by gather, each observation stored once.

A slot is one step of one row; slots are ordered by time, then row: slot = time * N + row, around a ring of C. The
observation that a step reached is found by index:
- in the slot of the same row one step later, while the episode goes on;
- in the tail, N more rows, for the newest step, whose successor is not there yet;
- in the side table, F more rows, where the episode ended. The reward word of such a slot holds the index of its row in
  the table, which holds the true reward too, so the index costs nothing.

All of it is one array for each width of element, [C + N + F, columns]. The side table is a ring as well: where it
would lap an ending that is still held, the oldest steps are dropped from what is held, up to that ending. So nothing
that is read is ever wrong, and endings are as likely as any other step.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.buffers import memory
from jaxrl.buffers.packing import num_columns, once, pack, unpack
from jaxrl.buffers.slots import (
    Flags,
    Slot,
    Storage,
    any_agent,
    columns,
    has_seen,
    held,
    later,
    number,
    pack_flags,
    sizes,
    spread,
    steps_left,
    take,
    unpack_flags,
    write,
)
from jaxrl.errors import UsageError
from jaxrl.types import Array, Experience, Observation, Rollout, Transition, Tree

__all__ = [
    "Flags", "Storage", "add", "default_ends", "example_rollout", "has_seen", "held", "init", "later", "num_bytes",
    "number", "read", "read_flags", "read_steps", "sizes", "steps_left",
]  # fmt: skip
_LONG_AGO = np.uint32(1 << 31)  # steps: of rows of the side table that belong to nobody


def num_bytes(example: Rollout, capacity: int, max_ends: int | None = None) -> dict[str, int]:
    """Bytes of what `init` would allocate: {"transitions": C slots, "ends": tail and side table}."""
    steps = jax.eval_shape(lambda: example).steps
    num_rows, ends = steps.reward.shape[1], default_ends(capacity, max_ends)
    whole, front = columns(steps)
    slot = sum(width * count for width, count in whole.items())
    row = sum(width * whole[width] for width in front)
    return {"transitions": capacity * slot, "ends": (num_rows + ends) * row + ends * 4}


def default_ends(capacity: int, max_ends: int | None) -> int:
    """F, the rows of the side table: an eighth of the capacity, and 4096 or all of a small one."""
    return max(capacity // 8, min(capacity, 4096)) if max_ends is None else max_ends


def init(example: Rollout, capacity: int, max_ends: int | None = None) -> Storage:
    """Room for C transitions like those of a rollout [T, N, ...], and F final observations; refused if it cannot fit.

    With episodes shorter than C / F steps on average, less than C is held.
    """
    steps = example.steps
    num_rows, ends = steps.reward.shape[1], default_ends(capacity, max_ends)
    if capacity < num_rows or capacity % num_rows:
        raise UsageError(f"capacity is {capacity}, expected a multiple of the {num_rows} rows that are stored together")
    if num_columns(steps.obs, 2) != num_columns(steps.next_obs, 2):
        raise UsageError("obs and next_obs have different fields or shapes, expected the same ones")
    memory.check_fits(sum(num_bytes(example, capacity, max_ends).values()), capacity)
    whole, front = columns(steps)
    packed = {
        width: jnp.zeros((capacity + (num_rows + ends if width in front else 0), count), f"uint{8 * width}")
        for width, count in whole.items()
    }
    zero = jnp.zeros((), jnp.int32)
    owners = jnp.full(ends, _LONG_AGO)
    return Storage(packed, owners, jax.tree.map(lambda x: x[:0], steps), zero, zero, zero, jnp.zeros((), jnp.uint32))


def add(state: Storage, rollout: Rollout) -> Storage:
    """Write a rollout [T, N, ...], which goes on where the last one stopped; T * N divides C and is at most F."""
    steps, (capacity, num_rows, ends) = rollout.steps, sizes(state)
    length = steps.reward.shape[0]
    count = length * num_rows
    if capacity % count:
        raise UsageError(f"capacity is {capacity}, expected a multiple of the {count} transitions of a rollout")
    if ends < count:
        why = f"max_ends is {ends}, expected at least the {count} transitions of a rollout"
        raise UsageError(f"{why}: raise it or the capacity, an eighth of which it is by default")
    flat = jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), steps)
    ended = flat.ended.reshape(count, -1).any(-1)
    so_far = jnp.cumsum(ended, dtype=jnp.int32)
    cursor = jnp.where(state.cursor > ends - count, 0, state.cursor)  # a block of the table is never cut in two
    places = capacity + num_rows + cursor + so_far - 1

    slots = pack(Slot(flat.obs, flat.reward, pack_flags(flat), flat.action, flat.extras), 1)
    reward_column = num_columns(state.example.obs, 2).get(4, 0)
    holds_place = ended[:, None] & (jnp.arange(slots[4].shape[1]) == reward_column)
    slots[4] = jnp.where(holds_place, places.astype(jnp.uint32)[:, None], slots[4])
    reached = pack((flat.next_obs, flat.reward), 1)
    source = jnp.searchsorted(so_far, 1 + jnp.arange(count), method="compare_all" if count <= 256 else "scan_unrolled")
    source = jnp.minimum(source, count - 1)  # the k-th ending of the block; any step behind the last one

    packed = {width: write(state.packed[width], slots[width], state.head) for width in slots}
    for width, rows in reached.items():
        tail = write(packed[width], rows[-num_rows:], capacity)
        packed[width] = write(tail, take(rows, source), capacity + num_rows + cursor)

    now = state.time + length
    lapped = jax.lax.dynamic_slice_in_dim(state.owners, cursor, count)
    age = jnp.min(now - lapped)  # steps since the latest one, counted, whose row of the table is written over
    written = jnp.arange(count) < so_far[-1]
    owners = jnp.where(written, state.time + (source // num_rows).astype(jnp.uint32), now + _LONG_AGO)
    place = cursor + (age == 0)  # age is never 0: so the write waits for the read, without which XLA copies the table
    room = jnp.minimum(state.size // num_rows + length, capacity // num_rows)
    size = jnp.minimum(age - 1, room.astype(jnp.uint32)).astype(jnp.int32) * num_rows
    return Storage(
        packed, write(state.owners, owners, place), state.example, (state.head + count) % capacity,
        size, cursor + so_far[-1], now,
    )  # fmt: skip


def read_flags(state: Storage, slots: Array) -> Flags:
    """The flags bool [..., *A] of slots [...], and nothing else."""
    return _rewards_and_flags(state, slots)[1]


def read(state: Storage, slots: Array) -> Transition:
    """The transitions [..., ...] of slots [...], for windows of a row too: slots [L, B] from `later`."""
    slots = once(slots)
    slot = _slot(state, slots)
    flags = unpack_flags(slot.flags)
    next_obs, reward = _reached(state, slots, slot.reward, flags.ended)
    return Transition(
        slot.obs, flags.first, slot.action, reward, flags.terminated, flags.truncated, flags.valid, next_obs,
        slot.extras,
    )  # fmt: skip


def read_steps(state: Storage, slots: Array, num_steps: int, discount: Array | float) -> Experience:
    """n-step experience [B, ...] from slots [B]; fewer steps where the episode or what is written ends before."""
    slots = once(slots)
    start = _slot(state, slots)
    valid = unpack_flags(start.flags).valid
    last, reward, flags = slots, start.reward, unpack_flags(start.flags)
    before, weight = jnp.zeros(()), jnp.ones(())
    if num_steps > 1:
        passed, before, weight = _pass(state, slots, num_steps, discount)
        last = once(later(state, slots, passed))
        reward, flags = _rewards_and_flags(state, last)
    next_obs, reward = _reached(state, last, reward, flags.ended)
    reward = before + spread(weight, reward) * reward
    beyond = jnp.where(flags.terminated, 0.0, spread(weight * discount, reward))
    return Experience(start.obs, start.action, reward, beyond, valid, next_obs, start.extras)


def _pass(state: Storage, slots: Array, num_steps: int, discount: Array | float) -> tuple[Array, Array, Array]:
    """Steps [B] before the last of up to n, their discounted rewards [B, *A], and the weight [B] of what follows."""
    k = jnp.arange(num_steps)[:, None]
    reward, flags = _rewards_and_flags(state, later(state, slots, k))
    stops = any_agent(flags.ended, 2) | (k == steps_left(state, slots) - 1) | (k == num_steps - 1)
    passed = jnp.argmax(stops, 0)
    powers = discount ** jnp.arange(num_steps)
    rewards = jnp.where(spread(k < passed, reward), spread(powers, reward) * reward, 0)
    return passed, rewards.sum(0), powers[passed]


def _slot(state: Storage, slots: Array) -> Slot:
    """What stands in slots [...]; where an episode ended, the reward is the bits of an index."""
    example = state.example
    kind = Slot(example.obs, example.reward, example.reward.astype(jnp.uint8), example.action, example.extras)
    return unpack({width: take(array, slots) for width, array in state.packed.items()}, kind, 2)


def _rewards_and_flags(state: Storage, slots: Array) -> tuple[Array, Flags]:
    """The rewards (bits of an index where an episode ended) and flags [..., *A] of slots [...]."""
    reward, before = state.example.reward, num_columns(state.example.obs, 2)
    kind = (reward, reward.astype(jnp.uint8))
    rows = {
        width: take(state.packed[width], slots, before.get(width, 0), count)
        for width, count in num_columns(kind, 2).items()
    }
    rewards, flags = unpack(rows, kind, 2)
    return rewards, unpack_flags(flags)


def _reached(state: Storage, slots: Array, reward: Array, ended: Array) -> tuple[Observation, Array]:
    """(next_obs, true reward) of slots [...], from the reward words and flags [..., *A] that stand in them."""
    capacity, num_rows, _ = sizes(state)
    newest = (state.head - 1 - slots + capacity) % capacity < num_rows
    ended = any_agent(ended, slots.ndim)
    place = pack(reward, slots.ndim)[4][..., 0].astype(jnp.int32)
    after = jnp.where(newest, capacity + slots % num_rows, later(state, slots, 1))
    after = once(jnp.where(ended, place, after))
    kind = (state.example.obs, state.example.reward)
    rows = {width: take(state.packed[width], after, 0, count) for width, count in num_columns(kind, 2).items()}
    next_obs, true_reward = unpack(rows, kind, 2)
    return next_obs, jnp.where(spread(ended, reward), true_reward, reward)


def example_rollout(timestep: Tree, action: Tree, extras: Tree) -> Rollout:
    """A rollout [1, N, ...] of the right structure and dtypes, from what an agent's `init` knows."""
    steps = Transition(
        timestep.obs, timestep.first, action, timestep.reward, timestep.terminated, timestep.truncated,
        timestep.valid, timestep.final_obs, extras,
    )  # fmt: skip
    return Rollout(jax.tree.map(lambda x: jnp.asarray(x)[None], steps), ())
