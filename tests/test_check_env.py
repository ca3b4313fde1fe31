"""`check_env`: every way to break a world that it knows gives its own clear line, and an honest world passes."""

import random
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs
from jaxrl.envs import check_env
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Environment, Model


class State(NamedTuple):
    place: jax.Array
    time: jax.Array


def reset(key, params):
    state = State(jax.random.uniform(key), jnp.int32(0))
    return state, jnp.stack([state.place, 0.0])


def step(key, state, action, params):
    state = State(state.place + 0.1 * params["speed"] * action, state.time + 1)
    obs = jnp.stack([jnp.minimum(state.place, 3.0), state.time.astype(jnp.float32)])
    return state, obs, -state.place, state.place > 2.0


def legal(state, params):
    return jnp.array([True, True, False])


SOUND = Environment(
    reset, step, Box((0.0, 0.0), (3.0, np.inf), (2,)), Discrete(3), {"speed": np.float32(1)}, max_steps=50,
    legal_actions=legal, measure=lambda state, params: {"place": state.place},
    render=lambda state, params: jnp.zeros((4, 6, 3), jnp.uint8),
)  # fmt: skip
EYE = np.ones((2, 1, 1))
TABLE = Model(EYE, np.array([1, 0]).reshape(2, 1, 1), EYE, EYE > 2, np.array([1.0, 0.0]))


def flip(to=lambda state: 1 - state, start=0):
    """A world of two states that TABLE tells."""
    return Environment(
        lambda key, params: (jnp.int32(start), jnp.int32(start)),
        lambda key, state, action, params: (to(state), to(state), jnp.float32(1), jnp.bool_(False)),
        Discrete(2), Discrete(1), model=lambda params: TABLE,
    )  # fmt: skip


def stepping(change):
    """SOUND with `change` (key, state, action, outcome) -> outcome of every step."""
    return SOUND._replace(step=lambda key, state, action, params: change(key, state, step(key, state, action, params)))


def starting(change):
    return SOUND._replace(reset=lambda key, params: change(key, reset(key, params)))


class Counting:
    """A step that counts its calls outside of the state."""

    calls = 0

    def __call__(self, key, state, action, params):
        self.calls += 1
        state, obs, reward, terminated = step(key, state, action, params)
        return state, obs, reward + self.calls, terminated


class Leaking:
    """A step that reads what reset has left behind."""

    def reset(self, key, params):
        state, obs = reset(key, params)
        self.goal = state.place
        return state, obs

    def step(self, key, state, action, params):
        state, obs, reward, terminated = step(key, state, action, params)
        return state, obs, reward - self.goal, terminated


def leaking():
    world = Leaking()
    return SOUND._replace(reset=world.reset, step=world.step)


def in_place():
    def reset_dict(key, params):
        return {"time": jnp.int32(0)}, jnp.zeros(2)

    def step_dict(key, state, action, params):
        state["time"] += 1
        return state, jnp.zeros(2), jnp.float32(0), jnp.bool_(False)

    return SOUND._replace(reset=reset_dict, step=step_dict, legal_actions=None, measure=None)


def resetting():
    """An auto-reset within the step."""

    def change(key, state, outcome):
        fresh, first = reset(key, {})
        choose = lambda a, b: jnp.where(outcome[3], a, b)  # noqa: E731
        return jax.tree.map(choose, fresh, outcome[0]), choose(first, outcome[1]), outcome[2], outcome[3]

    return stepping(change)


def asks(key, state, outcome):
    return outcome if state.place > 1 else outcome


def rolls_dice(key, state, outcome):
    return outcome[0], outcome[1], outcome[2] + random.random(), outcome[3]


def two_draws(key, state, outcome):
    noise = jax.random.uniform(key) + jax.random.normal(key)
    return outcome[0], outcome[1], outcome[2] + noise, outcome[3]


def calls_back(key, state, outcome):
    shown = jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), jnp.float32), outcome[2])
    return outcome[0], outcome[1], shown, outcome[3]


SPACE_OF_ANOTHER_KIND = {"x": (0, 1)}
STATE = "State(place=float32[], time=int32[])"
SPLIT = "split it first: one_key, other_key = jax.random.split(key)"
CONVERT = "expected the same of both, so that steps can be scanned; convert one of the two (x.astype, reshape)"
FAULTS = {
    "not a record": (
        lambda: object(),
        "this is a object: expected a jaxrl.types.Environment; make one with Environment(reset, step, "
        "observation_space, action_space)",
    ),
    "a step that is none": (
        lambda: SOUND._replace(step=None),
        "step is None: expected a function; give one (an optional one may be None)",
    ),
    "a foreign space": (
        lambda: SOUND._replace(action_space=SPACE_OF_ANOTHER_KIND),
        "action_space holds a builtins.int: expected spaces of jaxrl.spaces; use Discrete, MultiDiscrete or Box",
    ),
    "a limit of 0": (
        lambda: SOUND._replace(max_steps=0),
        "max_steps is 0: expected None or a whole number from 1; correct the field max_steps",
    ),
    "a mask for a Box": (
        lambda: SOUND._replace(action_space=Box(0.0, 1.0, ())),
        "legal_actions with actions in Box(low=0.0, high=1.0, shape=(), dtype=<class 'numpy.float32'>): expected "
        "Discrete actions; leave the mask out",
    ),
    "words in params": (
        lambda: SOUND._replace(params={"speed": "fast"}),
        "params['speed'] is 'fast': expected numbers, which can be vmapped and drawn; close over what is no number "
        "instead",
    ),
    "a start without obs": (
        lambda: starting(lambda key, start: start[0]),
        f"reset gives {STATE}: expected the pair (state, obs); return both, and nothing else",
    ),
    "a step of five": (
        lambda: stepping(lambda key, state, outcome: (*outcome, {})),
        "step gives 5 values: expected the tuple (state, obs, reward, terminated); there is no truncated and no info: "
        "limits belong to max_steps, figures to measure",
    ),
    "an if": (
        lambda: stepping(asks),
        "step asks for the truth of a traced array (test_check_env.py, line LINE): expected code that JAX can trace; "
        "use jnp.where or jax.lax.cond",
    ),
    "numpy": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], np.sin(outcome[2]), outcome[3])),
        "step hands a traced array to numpy (test_check_env.py, line LINE): expected code that JAX can trace; use the "
        "function of jax.numpy",
    ),
    "a Python number": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], jnp.float32(float(outcome[2])), outcome[3])),
        "step makes a Python number of a traced array (test_check_env.py, line LINE): expected code that JAX can "
        "trace; use array operations",
    ),
    "indexing with a mask": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], outcome[1][outcome[1] > 0].sum(), outcome[3])),
        "step indexes with a mask (test_check_env.py, line LINE): expected code that JAX can trace; use jnp.where, "
        "which keeps the shape",
    ),
    "any other exception": (
        lambda: stepping(lambda key, state, outcome: outcome[0].plaice),
        "step fails (test_check_env.py, line LINE) with AttributeError 'State' object has no attribute 'plaice': "
        "expected code that JAX can trace; correct it",
    ),
    "a state of another structure": (
        lambda: stepping(lambda key, state, outcome: (tuple(outcome[0]), *outcome[1:])),
        f"state is {STATE} after reset and (float32[], int32[]) after step: {CONVERT}",
    ),
    "a state of another dtype": (
        lambda: stepping(lambda key, state, outcome: (state._replace(time=state.time + 0.5), *outcome[1:])),
        f"state.time is int32[] after reset and float32[] after step: {CONVERT}",
    ),
    "an obs of another shape": (
        lambda: stepping(lambda key, state, outcome: (outcome[0], outcome[1][:1], *outcome[2:])),
        f"obs is float32[2] after reset and float32[1] after step: {CONVERT}",
    ),
    "a weak type": (
        lambda: starting(lambda key, start: (start[0]._replace(time=jnp.asarray(0)), start[1])),
        "state.time after reset is int32[] of weak type: expected a fixed dtype; write jnp.int32(0) for 0 and "
        "jnp.float32(1) for 1.0",
    ),
    "an obs that its space has not": (
        lambda: SOUND._replace(observation_space=Box(0.0, 9.0, (3,))),
        "obs is float32[2]: expected float32[3]; correct the observation or its space",
    ),
    "an obs nested otherwise": (
        lambda: SOUND._replace(observation_space={"a": Box(0.0, 9.0, (2,))}),
        "the observation is float32[2]: expected the structure of its space {a: float32[2]}; nest both alike",
    ),
    "a whole reward": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], jnp.int32(1), outcome[3])),
        "the reward is int32[]: expected float32[]; jnp.float32(...) makes it one",
    ),
    "a reward in a vector": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], outcome[2][None], outcome[3])),
        "the reward is float32[1]: expected float32[]; jnp.float32(...) makes it one",
    ),
    "one reward for two agents": (
        lambda: flip()._replace(
            num_agents=2, observation_space=Discrete(2), reset=lambda key, params: (jnp.int32(0), jnp.zeros(2, int)),
            step=lambda key, state, action, params: (state, jnp.zeros(2, int), jnp.float32(0), jnp.zeros(2, bool)),
        ),
        "the reward is float32[]: expected float32[2]; jnp.float32(...) makes it one",
    ),
    "a flag that is a number": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:3], outcome[3].astype(jnp.float32))),
        "terminated is float32[]: expected bool[]; a comparison or jnp.bool_(...) makes it one",
    ),
    "a counter outside of the state": (
        lambda: SOUND._replace(step=Counting()),
        "two equal calls of step differ: expected a pure function of its arguments; keep everything that changes in "
        "the state, and draw with the key",
    ),
    "a draw without a key": (
        lambda: stepping(rolls_dice),
        "two equal calls of step differ: expected a pure function of its arguments; keep everything that changes in "
        "the state, and draw with the key",
    ),
    "an array left behind": (
        leaking,
        "step reads an array that another call left behind: expected a pure function of its arguments; keep that "
        "array in the state",
    ),
    "a state changed in place": (
        in_place,
        "step changes its arguments in place: expected arguments that stay as they are; build new containers, with "
        "_replace or {**state, ...}",
    ),
    "a callback": (
        lambda: stepping(calls_back),
        "step calls back to the host (pure_callback): expected a program without callbacks; write it in jax.numpy, "
        "and remove jax.debug.print",
    ),
    "a key used twice by a step": (
        lambda: stepping(two_draws),
        f"step uses a key twice: expected every key to be used once; {SPLIT}",
    ),
    "a key used twice by a reset": (
        lambda: starting(lambda key, start: (start[0]._replace(place=jax.random.normal(key)), start[1])),
        f"reset uses a key twice: expected every key to be used once; {SPLIT}",
    ),
    "a mask of another size": (
        lambda: SOUND._replace(legal_actions=lambda state, params: jnp.ones(4, bool)),
        "legal_actions gives bool[4]: expected bool[3]; one flag per action",
    ),
    "nothing legal": (
        lambda: SOUND._replace(legal_actions=lambda state, params: (state.time < 3) & jnp.ones(3, bool)),
        "legal_actions allows nothing in some state that play goes on from: expected at least one legal action; allow "
        "one (an extra action that waits, if need be)",
    ),
    "a measure of a vector": (
        lambda: SOUND._replace(measure=lambda state, params: {"both": jnp.zeros(2)}),
        "measure gives {both: float32[2]}: expected a dict of scalars; give one number per name",
    ),
    "a measure that is inf": (
        lambda: SOUND._replace(measure=lambda state, params: {"pace": state.place / (state.time - 3)}),
        "measure 'pace' is not finite in some state: expected finite numbers; report 0 where it has none",
    ),
    "a picture of floats": (
        lambda: SOUND._replace(render=lambda state, params: jnp.zeros((4, 6, 3))),
        "render gives float32[4, 6, 3]: expected uint8 [H, W, 3]; scale colours to 0..255",
    ),
    "an obs outside of its space": (
        lambda: SOUND._replace(observation_space=Box((0.0, 0.0), (3.0, 20.0), (2,))),
        "obs after step holds 21.0 at [1]: expected 0.0 to 20.0, as its space says; correct the observation or its "
        "space",
    ),
    "NaN in an obs": (
        lambda: stepping(lambda key, state, outcome: (outcome[0], jnp.log(1.5 - outcome[1]), *outcome[2:])),
        "obs after step holds NaN: expected numbers from (0.0, 0.0) to (3.0, inf); look for 0/0 or inf - inf",
    ),
    "an infinite reward": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:2], jnp.float32(1) / (state.time - 3), outcome[3])),
        "the reward is inf after some step: expected a finite number; look for a division by 0, a logarithm of 0 or "
        "an overflow",
    ),
    "an end after every step": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:3], jnp.bool_(True))),
        "each of 1200 steps terminated, although max_steps is 50: expected some step that does not; correct the flag "
        "(a world of one step has max_steps None)",
    ),
    "a limit within the step": (
        lambda: stepping(lambda key, state, outcome: (*outcome[:3], outcome[0].time >= 50)),
        "every episode of 50 steps terminated at that very step, which is max_steps: expected termination by the "
        "world's rules alone; leave the limit to the field max_steps, or set it to None where this end belongs to the "
        "rules",
    ),
    "a reset within the step": (
        resetting,
        "the states after a termination look like new starts: expected the state that the step really reached; leave "
        "resets to vectorize: step never resets",
    ),
    "a model of another size": (
        lambda: flip()._replace(action_space=Discrete(2)),
        "the model's tables have shapes [(2, 1, 1), (2, 1, 1), (2, 1, 1), (2, 1, 1), (2,)] for 2 actions: expected "
        "[S, A, K] four times, then start [S]; make it with jaxrl.envs.tabular.tables",
    ),
    "a model of another sum": (
        lambda: flip()._replace(model=lambda params: TABLE._replace(probability=0.5 * EYE)),
        "the model's probabilities sum to 0.5: expected 1; scale them",
    ),
    "a model of another world": (
        lambda: flip(to=lambda state: state),
        "state 0, action 0 led to state 0, reward 1.0: expected an outcome of the model; correct step or model, or "
        "set model to None",
    ),
    "a start that the model has not": (
        lambda: flip(start=1),
        "reset gave a state of probability 0: expected every start to be in model.start; correct one of the two",
    ),
}  # fmt: skip
SHARED = {"a draw without a key", "a counter outside of the state"}  # one mistake, in two forms


@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_gives_its_own_line(fault):
    make, expected = FAULTS[fault]
    with pytest.raises(UsageError) as error:
        check_env(make(), "my_world")
    before, _, after = f"my_world: {expected}".partition("LINE")
    found = str(error.value)
    assert found.startswith(before) and found.endswith(after) and "\n" not in found


def test_every_fault_has_its_own_message():
    messages = [message for name, (_, message) in FAULTS.items() if name not in SHARED]
    assert len(set(messages)) == len(messages) >= 12


def test_a_sound_world_passes_and_its_walk_is_given_back():
    walk = check_env(SOUND, num_steps=30, num_rows=5)
    assert walk.ended.shape == walk.after[2].shape == walk.measures["place"].shape == (30, 5)
    assert set(np.asarray(walk.action).ravel()) == {0, 1} and walk.legal.shape == (30, 5, 3)
    check_env(flip(), num_steps=5)


def test_a_reset_may_ignore_its_key_and_a_check_may_be_left_out():
    check_env(SOUND._replace(reset=lambda key, params: reset(jax.random.key(0), params)), num_steps=20)
    walk = check_env(stepping(two_draws), num_steps=20, skip=["keys"])
    assert walk.ended.shape == (20, 8)
    with pytest.raises(UsageError, match="unknown check 'kees': did you mean keys?"):
        check_env(SOUND, skip=["kees"])


def test_a_world_without_a_name_is_this_world():
    with pytest.raises(UsageError, match="^this world: max_steps is 0"):
        check_env(envs.make("ring")._replace(max_steps=0))
