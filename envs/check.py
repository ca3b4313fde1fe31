"""`check_env`: does a world keep what `vectorize` and every agent build on? For authors and their tests."""

import numbers
import re
from collections.abc import Collection
from typing import Any

import jax
import numpy as np

from jaxrl import spaces
from jaxrl.backend import jit_once
from jaxrl.envs import check_walk
from jaxrl.envs.check_trace import Traced, WorldError, brief, expect, fault, fits, same, strong, trace, untraceable
from jaxrl.envs.check_walk import Walk, random_action, wander
from jaxrl.errors import unknown
from jaxrl.types import Environment, Model, Observation

CHECKS = ("purity", "keys", "values", "ends", "model")  # what `skip` can name; the rest is always checked


def check_env(
    env: Environment, name: str = "this world", num_steps: int | None = None, num_rows: int = 8,
    skip: Collection[str] = (),
) -> Walk:  # fmt: skip
    """Raise a one-line `WorldError` for the first promise that `env` breaks; else give back the walk it was held to.

    The record and its spaces; that reset and step can be traced, vmapped and scanned, are pure, change none of their
    arguments and keep one structure, with fixed dtypes; that no key is used twice; the optional functions; then a
    random walk of `num_steps` steps of `num_rows` rows (by default long enough to see a hidden limit of up to 1000
    steps): values in their spaces, ends by the world's own rules, outcomes that are in the model.
    """
    for each in skip:
        if each not in CHECKS:
            raise unknown("check", each, CHECKS)
    try:
        _check_record(env)
        reset, step = _check_structure(env)
        if "purity" not in skip:
            _check_purity(reset, step)
        if "keys" not in skip:
            _check_keys(reset, step)
        model = _check_optional(env, step.args[1])
        walk = _walk(env, num_steps or max(150, min((env.max_steps or 0) + 1, 1000)), num_rows)
        if "values" not in skip:
            check_walk.check_values(env, walk)
        if "ends" not in skip:
            check_walk.check_ends(env, walk)
        if "model" not in skip and model is not None:
            check_walk.check_model(env, model, walk)
    except WorldError as error:
        raise WorldError(f"{name}: {error}") from error.__cause__
    return walk


def _check_record(env: Any) -> None:
    if not isinstance(env, Environment):
        advice = "make one with Environment(reset, step, observation_space, action_space)"
        raise fault(f"this is a {type(env).__name__}", "a jaxrl.types.Environment", advice)
    for field in ("reset", "step", "legal_actions", "measure", "model", "render"):
        function = getattr(env, field)
        if not callable(function) and (function is not None or field in ("reset", "step")):
            raise fault(f"{field} is {function!r}", "a function", "give one (an optional one may be None)")
    for field in ("observation_space", "action_space"):
        for leaf in jax.tree.leaves(getattr(env, field), is_leaf=spaces.is_space) or [None]:
            if not spaces.is_space(leaf):
                kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}"
                raise fault(f"{field} holds a {kind}", "spaces of jaxrl.spaces", "use Discrete, MultiDiscrete or Box")
    for field in ("max_steps", "num_agents"):
        value = getattr(env, field)
        if value is not None and (not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1):
            raise fault(f"{field} is {value!r}", "None or a whole number from 1", f"correct the field {field}")
    if env.legal_actions is not None and not isinstance(env.action_space, spaces.Discrete | spaces.MultiDiscrete):
        raise fault(f"legal_actions with actions in {env.action_space}", "Discrete actions", "leave the mask out")
    for path, leaf in jax.tree.leaves_with_path(env.params):
        if np.asarray(leaf).dtype.kind not in "biuf":
            where = f"params{jax.tree_util.keystr(path)} is {leaf!r}"
            raise fault(where, "numbers, which can be vmapped and drawn", "close over what is no number instead")


def _check_structure(env: Environment) -> tuple[Traced, Traced]:
    """reset and step, traced; what they give back fits together and to the spaces."""
    key = jax.eval_shape(jax.random.key, 0)
    params = jax.eval_shape(lambda params: params, env.params)
    reset = trace("reset", env.reset, key, params)
    start = reset.out
    if type(start) is not tuple or len(start) != 2:
        raise fault(f"reset gives {brief(start)}", "the pair (state, obs)", "return both, and nothing else")
    legal = () if env.legal_actions is None else trace("legal_actions", env.legal_actions, start[0], params).out
    agents = () if env.num_agents is None else (env.num_agents,)
    if env.legal_actions is not None:
        size = int(np.sum(getattr(env.action_space, "sizes", None) or env.action_space.n))
        expect("legal_actions gives", legal, (*agents, size), np.bool_, "one flag per action")
    action = jax.eval_shape(lambda k, legal: random_action(env, k, legal), key, legal)
    step = trace("step", env.step, key, start[0], action, params)
    after = step.out
    if type(after) is not tuple or len(after) != 4:
        advice = "there is no truncated and no info: limits belong to max_steps, figures to measure"
        found = f"step gives {f'{len(after)} values' if type(after) is tuple else brief(after)}"
        raise fault(found, "the tuple (state, obs, reward, terminated)", advice)
    for what, a, b in (("state", start[0], after[0]), ("obs", start[1], after[1])):
        same(what, a, b)
    strong({"state": start[0], "obs": start[1]}, "reset")
    strong(dict(zip(("state", "obs", "reward", "terminated"), after, strict=True)), "step")
    fits(start[1].features if isinstance(start[1], Observation) else start[1], env.observation_space, agents)
    expect("the reward is", after[2], agents, np.float32, "jnp.float32(...) makes it one")
    expect("terminated is", after[3], agents, np.bool_, "a comparison or jnp.bool_(...) makes it one")
    return reset, step


def _check_purity(*calls: Traced) -> None:
    """Traced once more, each is the same program, without a call to the host."""
    for call in calls:
        if trace(call.name, call.function, *call.args).program != call.program:
            advice = "keep everything that changes in the state, and draw with the key"
            raise fault(f"two equal calls of {call.name} differ", "a pure function of its arguments", advice)
        callback = re.search(r"\b(\w*callback)\[", call.program[0])
        if callback:
            advice = "write it in jax.numpy, and remove jax.debug.print"
            raise fault(f"{call.name} calls back to the host ({callback[1]})", "a program without callbacks", advice)


def _check_keys(*calls: Traced) -> None:
    for call in calls:
        try:
            with jax.debug_key_reuse(True):
                jax.jit(lambda *args, function=call.function: function(*args)).trace(*call.args)
        except jax.errors.KeyReuseError as error:
            advice = "split it first: one_key, other_key = jax.random.split(key)"
            raise fault(f"{call.name} uses a key twice", "every key to be used once", advice) from error


def _check_optional(env: Environment, state: Any) -> Model | None:
    """The shapes of measures, picture and model; the model, where there is one."""
    params = jax.eval_shape(lambda params: params, env.params)
    if env.measure is not None:
        measures = trace("measure", env.measure, state, params).out
        if not isinstance(measures, dict) or any(getattr(leaf, "shape", None) != () for leaf in measures.values()):
            raise fault(f"measure gives {brief(measures)}", "a dict of scalars", "give one number per name")
    if env.render is not None:
        picture = trace("render", env.render, state, params).out
        shape: tuple[int, ...] = getattr(picture, "shape", ())
        if len(shape) != 3 or shape[2] != 3 or picture.dtype != np.uint8:
            raise fault(f"render gives {brief(picture)}", "uint8 [H, W, 3]", "scale colours to 0..255")
    if env.model is None:
        return None
    model = env.model(env.params)
    shapes = [np.shape(table) for table in model]
    num_states, num_actions = np.shape(model.start)[0], getattr(env.action_space, "n", None)
    if len(set(shapes[:4])) != 1 or len(shapes[0]) != 3 or shapes[0][:2] != (num_states, num_actions):
        found = f"the model's tables have shapes {shapes} for {num_actions} actions"
        raise fault(found, "[S, A, K] four times, then start [S]", "make it with jaxrl.envs.tabular.tables")
    sums = np.asarray(model.probability, float).sum(-1)
    if np.abs(sums - 1).max() > 1e-5:
        raise fault(f"the model's probabilities sum to {sums.flat[np.abs(sums - 1).argmax()]:.6g}", "1", "scale them")
    return model


def _walk(env: Environment, num_steps: int, num_rows: int) -> Walk:
    program = jit_once(lambda key, params: wander(env, key, params, num_steps, num_rows))
    try:
        walk = program(jax.random.key(1), env.params)
    except Exception as error:
        raise untraceable("step under vmap and scan", error) from error
    return jax.block_until_ready(walk)
