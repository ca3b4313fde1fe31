"""One dict of every world: name -> constructor with its own keyword options."""

import inspect
from collections.abc import Callable
from typing import Any

from jaxrl import compat
from jaxrl.envs import probes
from jaxrl.envs.cliff_walking import cliff_walking
from jaxrl.envs.frozen_lake import frozen_lake
from jaxrl.envs.gridworld import gridworld
from jaxrl.envs.t_maze import t_maze
from jaxrl.envs.taxi import taxi
from jaxrl.errors import check_options, unknown
from jaxrl.types import Environment

GYMNAX = {
    "acrobot": "Acrobot-v1",
    "asterix": "Asterix-MinAtar",
    "bandit": "SimpleBandit-bsuite",
    "breakout": "Breakout-MinAtar",
    "cartpole": "CartPole-v1",
    "catch": "Catch-bsuite",
    "deep_sea": "DeepSea-bsuite",
    "discounting_chain": "DiscountingChain-bsuite",
    "freeway": "Freeway-MinAtar",
    "memory_chain": "MemoryChain-bsuite",
    "mountain_car": "MountainCar-v0",
    "mountain_car_continuous": "MountainCarContinuous-v0",
    "pendulum": "Pendulum-v1",
    "seaquest": "Seaquest-MinAtar",
    "space_invaders": "SpaceInvaders-MinAtar",
    "umbrella_chain": "UmbrellaChain-bsuite",
}


def _from_gymnax(gymnax_id: str) -> Callable[..., Environment]:
    def construct(**options: Any) -> Environment:
        return compat.gymnax(gymnax_id, options)  # it knows its own options once gymnax is imported

    return construct


CONSTRUCTORS: dict[str, Callable[..., Environment]] = {name: _from_gymnax(each) for name, each in GYMNAX.items()} | {
    "chain": probes.chain,
    "cliff_walking": cliff_walking,
    "counter": probes.counter,
    "frozen_lake": frozen_lake,
    "gridworld": gridworld,
    "masked_walk": probes.masked_walk,
    "multi_discrete": probes.multi_discrete,
    "quadratic": probes.quadratic,
    "random_mdp": probes.random_mdp,
    "random_start": probes.random_start,
    "ring": probes.ring,
    "t_maze": t_maze,
    "taxi": taxi,
    "two_lengths": probes.two_lengths,
}


def names() -> tuple[str, ...]:
    """The names that `make` knows, sorted; gymnax's own ids ("CartPole-v1") are understood as well."""
    return tuple(sorted(CONSTRUCTORS))


def make(name: str, **options: Any) -> Environment:
    """The environment of that name; options are its constructor's own (a gymnax one's: see `compat.gymnax`)."""
    short = {gymnax_id: each for each, gymnax_id in GYMNAX.items()}.get(name, name)
    if short not in CONSTRUCTORS:
        raise unknown("environment", name, CONSTRUCTORS)
    constructor = CONSTRUCTORS[short]
    if short not in GYMNAX:
        parameters = inspect.signature(constructor).parameters.values()
        check_options(short, options, {parameter.name: parameter.default for parameter in parameters})
    return constructor(**options)
