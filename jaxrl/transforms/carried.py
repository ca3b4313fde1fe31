"""A world's state with something beside it that a transform remembers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl.types import Environment, Tree


class Carried(NamedTuple):
    inner: Tree  # the state of the world inside
    memory: Tree  # what the transform remembers


def _inside(state: Carried, params: Tree) -> tuple[Tree, Tree]:
    return state.inner, params


def carrying(env: Environment, read: Callable[[Carried, Tree], tuple[Tree, Tree]] = _inside) -> Environment:
    """`env` whose mask, measures and picture are asked of a `Carried` state; a table over its states is not told.

    read: (carried state, params) -> (the inner state, its params).
    """

    def ask(function: Callable[..., Any] | None) -> Callable[..., Any] | None:
        return None if function is None else lambda state, params: function(*read(state, params))

    legal, measure, render = (ask(each) for each in (env.legal_actions, env.measure, env.render))
    return env._replace(legal_actions=legal, measure=measure, render=render, model=None)
