"""One dict of every world: name -> constructor with its own keyword options."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from jaxrl import compat, suites
from jaxrl.envs import gymnax_pictures, probes
from jaxrl.envs.access_control import access_control
from jaxrl.envs.bit_flipping import bit_flipping
from jaxrl.envs.blocking_maze import blocking_maze
from jaxrl.envs.cliff_walking import cliff_walking
from jaxrl.envs.deep_sea import deep_sea
from jaxrl.envs.dyna_maze import dyna_maze
from jaxrl.envs.four_rooms import four_rooms
from jaxrl.envs.frozen_lake import frozen_lake
from jaxrl.envs.goal_grid import goal_grid
from jaxrl.envs.gridworld import gridworld
from jaxrl.envs.maximisation_bias import maximisation_bias
from jaxrl.envs.memory_chain import memory_chain
from jaxrl.envs.minigrid.worlds import WORLDS as MINIGRID
from jaxrl.envs.multi import matrix_games
from jaxrl.envs.multi.coin_game import coin_game
from jaxrl.envs.multi.commons import commons
from jaxrl.envs.multi.connect_four import connect_four
from jaxrl.envs.multi.coordination import coordination
from jaxrl.envs.multi.level_based_foraging import level_based_foraging
from jaxrl.envs.multi.pursuit import pursuit
from jaxrl.envs.multi.simple_adversary import simple_adversary
from jaxrl.envs.multi.simple_push import simple_push
from jaxrl.envs.multi.simple_reference import simple_reference
from jaxrl.envs.multi.simple_speaker_listener import simple_speaker_listener
from jaxrl.envs.multi.simple_spread import simple_spread
from jaxrl.envs.multi.simple_tag import simple_tag
from jaxrl.envs.multi.switch import switch
from jaxrl.envs.multi.switch_riddle import switch_riddle
from jaxrl.envs.multi.tic_tac_toe import tic_tac_toe
from jaxrl.envs.random_walk import random_walk
from jaxrl.envs.short_corridor import short_corridor
from jaxrl.envs.t_maze import t_maze
from jaxrl.envs.taxi import taxi
from jaxrl.envs.windy_gridworld import windy_gridworld
from jaxrl.errors import UsageError, check_options, unknown
from jaxrl.types import Environment

GYMNAX = {
    "acrobot": "Acrobot-v1",
    "asterix": "Asterix-MinAtar",
    "bandit": "SimpleBandit-bsuite",
    "breakout": "Breakout-MinAtar",
    "cartpole": "CartPole-v1",
    "catch": "Catch-bsuite",
    "discounting_chain": "DiscountingChain-bsuite",
    "freeway": "Freeway-MinAtar",
    "mountain_car": "MountainCar-v0",
    "mountain_car_continuous": "MountainCarContinuous-v0",
    "pendulum": "Pendulum-v1",
    "seaquest": "Seaquest-MinAtar",
    "space_invaders": "SpaceInvaders-MinAtar",
    "umbrella_chain": "UmbrellaChain-bsuite",
}


def _from_gymnax(gymnax_id: str) -> Callable[..., Environment]:
    def construct(**options: Any) -> Environment:
        env = compat.gymnax(gymnax_id, options)  # it knows its own options once gymnax is imported
        return env._replace(render=gymnax_pictures.painter(gymnax_id, options))

    return construct


CONSTRUCTORS: dict[str, Callable[..., Environment]] = {name: _from_gymnax(each) for name, each in GYMNAX.items()}
CONSTRUCTORS |= MINIGRID | {
    "access_control": access_control,
    "bit_flipping": bit_flipping,
    "blocking_maze": blocking_maze,
    "chain": probes.chain,
    "cliff_walking": cliff_walking,
    "climbing_game": matrix_games.climbing_game,
    "coin_game": coin_game,
    "commons": commons,
    "connect_four": connect_four,
    "coordination": coordination,
    "counter": probes.counter,
    "deep_sea": deep_sea,
    "dyna_maze": dyna_maze,
    "four_rooms": four_rooms,
    "frozen_lake": frozen_lake,
    "goal_grid": goal_grid,
    "gridworld": gridworld,
    "level_based_foraging": level_based_foraging,
    "masked_walk": probes.masked_walk,
    "matching_pennies": matrix_games.matching_pennies,
    "maximisation_bias": maximisation_bias,
    "memory_chain": memory_chain,
    "multi_discrete": probes.multi_discrete,
    "penalty_game": matrix_games.penalty_game,
    "prisoners_dilemma": matrix_games.prisoners_dilemma,
    "pursuit": pursuit,
    "quadratic": probes.quadratic,
    "random_mdp": probes.random_mdp,
    "random_start": probes.random_start,
    "random_walk": random_walk,
    "ring": probes.ring,
    "rock_paper_scissors": matrix_games.rock_paper_scissors,
    "short_corridor": short_corridor,
    "simple_adversary": simple_adversary,
    "simple_push": simple_push,
    "simple_reference": simple_reference,
    "simple_speaker_listener": simple_speaker_listener,
    "simple_spread": simple_spread,
    "simple_tag": simple_tag,
    "switch": switch,
    "switch_riddle": switch_riddle,
    "t_maze": t_maze,
    "taxi": taxi,
    "tic_tac_toe": tic_tac_toe,
    "two_lengths": probes.two_lengths,
    "two_step_game": matrix_games.two_step_game,
    "windy_gridworld": windy_gridworld,
}

OURS = frozenset(CONSTRUCTORS)


def register(name: str, constructor: Callable[..., Environment]) -> None:
    """Let `make`, `jaxrl.train` and all else that takes a world by its name know a world of your own, in this process.

    Its keyword options, each with a default, are the environment options of a run. A name of yours can be given anew.
    """
    if not (isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]*", name)):
        raise UsageError(f"the name of a world is {name!r}: expected small letters, digits and _, such as 'my_world'")
    if name in OURS:
        raise UsageError(f"the name {name!r} is taken by a world of jaxrl: choose another, such as 'my_{name}'")
    if not callable(constructor):
        raise UsageError(f"{name} is registered as a {type(constructor).__name__}: expected a function that makes one")
    CONSTRUCTORS[name] = constructor


def names() -> tuple[str, ...]:
    """The names that `make` knows, sorted; gymnax's own ids ("CartPole-v1") are understood as well."""
    return tuple(sorted(CONSTRUCTORS))


def make(name: str, **options: Any) -> Environment:
    """The environment of that name; options are its constructor's own (a gymnax one's: see `compat.gymnax`).

    A name such as "pgx:tic_tac_toe" is an environment of another suite, see `jaxrl.suites`.
    """
    if suites.is_suite_name(name):
        return suites.make(name, options)
    short = {gymnax_id: each for each, gymnax_id in GYMNAX.items()}.get(name, name)
    if short not in CONSTRUCTORS:
        raise unknown("environment", name, CONSTRUCTORS)
    constructor = CONSTRUCTORS[short]
    if short not in GYMNAX:
        parameters = inspect.signature(constructor).parameters.values()
        check_options(short, options, {parameter.name: parameter.default for parameter in parameters})
    return constructor(**options)
