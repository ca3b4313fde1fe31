"""The states that an analysis looks at, and what a run's agent believes of each: its action values.

They are all states of a finite world, on its map where each picture of it shows the agent in a cell of its own; of any
other world, and of an agent with a memory, they are those of greedy episodes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import agents, exact
from jaxrl.analyse_values import beliefs
from jaxrl.envs.render import PIXELS
from jaxrl.errors import UsageError
from jaxrl.experiment import Result
from jaxrl.loop import collect
from jaxrl.types import Array, Environment, Model, Observation, Tree
from jaxrl.vectorize import vectorize

EPISODES, LONGEST = 16, 1_000
ATTEMPTS = 64  # to reach a state by the move that most probably leads there


class States(NamedTuple):
    """M states, and what the agent believes of each."""

    values: np.ndarray  # float [M, A]; NaN where an action is illegal
    features: np.ndarray  # float [M, F] what it saw there
    joined: np.ndarray | None = None  # float [M, A] the values, if a dueling network's streams were joined otherwise
    optimal: np.ndarray | None = None  # float [M, A] the exact values
    cells: np.ndarray | None = None  # int [M, 2] where on the map it is
    arrows: np.ndarray | None = None  # float [M, 2] where on the map the greedy action leads: down, right
    episodes: np.ndarray | None = None  # int [M] of which episode it is, in the order of time

    @property
    def best(self) -> np.ndarray:
        """float [M]: the value of the greedy action."""
        return np.nanmax(self.values, -1)

    @property
    def gaps(self) -> np.ndarray:
        """float [M]: by how much the greedy action is better than the second best; NaN where there is only one."""
        ordered = np.sort(np.where(np.isnan(self.values), -np.inf, self.values), -1)
        ordered = np.pad(ordered, ((0, 0), (1, 0)), constant_values=-np.inf)  # a world may have one action
        return np.where(np.isinf(ordered[:, -2]), np.nan, ordered[:, -1] - ordered[:, -2])


def has_memory(result: Result) -> bool:
    return bool(jax.tree.leaves(jax.eval_shape(lambda: result.parts.agent.begin(1))))


def all_states(result: Result, state: Tree) -> States | None:
    """Every state of a finite world that an episode can act in; None where the world or the agent is another."""
    env = result.parts.environment
    if env.model is None or has_memory(result) or not _numbered(env):
        return None
    model = _dense(env.model(env.params))
    numbers, seen = _observe(env, model, _live(model))
    legal = np.ones(model.probability.shape[:2], bool)
    if env.legal_actions is not None:
        legal = np.asarray(jax.vmap(env.legal_actions, (0, None))(jnp.arange(len(legal)), env.params))
    obs = jax.tree.map(lambda x: x[None], _encode(result, seen, legal[numbers]))
    believed = beliefs(result, state)(state, obs, jnp.ones((1, len(numbers)), bool))[:, 0]
    values, *joined = np.where(legal[numbers], np.asarray(believed, np.float64), np.nan)
    optimal = _optimal(model, result.settings.config.discount, legal, numbers)
    features = np.asarray(seen, np.float64).reshape(len(numbers), -1)
    found = States(values, features, joined[0] if joined else None, optimal)
    places = _places(env, len(legal))
    if places is None or places[numbers].min() < 0 or len(np.unique(places[numbers], axis=0)) < len(numbers):
        return found
    arrows = _directions(model, places, numbers, np.nanargmax(values, -1))
    return found._replace(cells=places[numbers], arrows=arrows)


def episode_states(result: Result, state: Tree, key: Array) -> States:
    """The states of greedy episodes, each up to its end."""
    env, agent = result.parts.adapted, result.parts.agent
    if env.num_agents is not None:
        raise UsageError("this is a world of several agents: expected a run in a world of one")
    limit = env.max_steps or LONGEST
    venv, evaluate = vectorize(env._replace(max_steps=limit), EPISODES), beliefs(result, state)
    roll = collect(agent, venv, limit)

    @jax.jit
    def play(key: Array, state: Tree) -> Any:
        reset_key, play_key = jax.random.split(key)
        world, timestep = venv.reset(reset_key, env.params)
        steps = roll(play_key, state, world, timestep, agent.begin(EPISODES), env.params, False)[3].steps
        before = jnp.cumsum(steps.ended, 0) - steps.ended  # ends so far
        return steps.obs, evaluate(state, steps.obs, steps.first), before == 0

    obs, values, counts = play(key, state)
    if obs.legal is not None:
        values = jnp.where(obs.legal, values, jnp.nan)
    leaves = [np.asarray(x, np.float64).reshape(*counts.shape, -1) for x in jax.tree.leaves(obs.features)]
    chosen = np.asarray(counts).T  # [E, T]: episode after episode
    arrays = [*np.asarray(values, np.float64), np.concatenate(leaves, -1)]
    mine, *joined, seen = (np.swapaxes(x, 0, 1)[chosen] for x in arrays)
    return States(mine, seen, joined[0] if joined else None, episodes=np.nonzero(chosen)[0])


def _numbered(env: Environment) -> bool:
    """Whether a state is one whole number."""
    leaves = jax.tree.leaves(jax.eval_shape(env.reset, jax.random.key(0), env.params)[0])
    return [(leaf.shape, leaf.dtype.kind) for leaf in leaves] == [((), "i")]


def _dense(model: Model) -> Model:
    """Its tables as numpy arrays of the same shape [S, A, K]."""
    tables: Any = np.broadcast_arrays(*(np.asarray(table) for table in model[:4]))
    return Model(tables[0], tables[1], tables[2], tables[3], np.asarray(model.start))  # type: ignore[arg-type]


def _encode(result: Result, seen: np.ndarray, legal: np.ndarray) -> Observation:
    """Raw observations [M, ...] as the agent reads them."""
    bare = result.parts.environment._replace(reset=lambda obs, params: ((), obs))
    encode = agents.adapt(result.settings.algorithm, bare, result.settings.network).reset
    adapted = jax.vmap(lambda obs: encode(obs, ())[1])(Observation(jnp.asarray(seen), jnp.asarray(legal)))
    return adapted if isinstance(adapted, Observation) else Observation(adapted)


def _live(model: Model) -> np.ndarray:
    """int [L]: the states that an episode can act in, that is reach from a start without an end on the way."""
    goes_on = (model.probability > 0) & ~model.terminated
    alive = model.start > 0
    while True:
        reached = alive.copy()
        reached[model.next_state[alive][goes_on[alive]]] = True
        if (reached == alive).all():
            return np.flatnonzero(alive)
        alive = reached


def _observe(env: Environment, model: Model, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(numbers [M], raw observations [M, ...]) of the wanted states, met by resets and by moves that lead there."""
    order = np.argsort(model.probability, axis=None)
    likeliest = np.zeros(len(model.start), int)
    likeliest[model.next_state.ravel()[order]] = order  # of several, the last one stays
    before, action, _ = np.unravel_index(likeliest[wanted], model.probability.shape)
    keys = jax.random.split(jax.random.key(0), (ATTEMPTS, len(wanted)))

    def attempt(keys: Array) -> Any:
        step = jax.vmap(lambda key, state, action: env.step(key, state, action, env.params)[:2])
        start = jax.vmap(lambda key: env.reset(key, env.params))(keys)
        moved = step(keys, jnp.asarray(before, start[0].dtype), jnp.asarray(action, env.action_space.dtype))
        return jax.tree.map(lambda *x: jnp.concatenate(x), start, moved)

    states, seen = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), jax.jit(jax.vmap(attempt))(keys))
    found, first = np.unique(states, return_index=True)
    chosen = np.isin(found, wanted)
    return found[chosen], getattr(seen, "features", seen)[first[chosen]]


def _places(env: Environment, num_states: int) -> np.ndarray | None:
    """int [S, 2]: the only cell (row, column) in which a state's picture differs from most; -1 where there is none."""
    render = env.render
    if render is None:
        return None
    height, width, _ = jax.eval_shape(render, jnp.int32(0), env.params).shape
    if height % PIXELS or width % PIXELS:
        return None
    mix = np.random.default_rng(0).integers(1, 2**16, (PIXELS, 1, PIXELS, 3))

    def tiles(state: Array) -> Array:  # a number for what each tile shows
        picture = render(state, env.params).reshape(height // PIXELS, PIXELS, width // PIXELS, PIXELS, 3)
        return jnp.sum(picture * jnp.asarray(mix, jnp.uint32), (1, 3, 4), dtype=jnp.uint32)

    shown = np.asarray(jax.jit(lambda states: jax.lax.map(tiles, states))(jnp.arange(num_states, dtype=jnp.int32)))
    differs = shown != np.sort(shown, 0)[num_states // 2]
    flat = differs.reshape(num_states, -1)
    cells = np.stack(np.unravel_index(flat.argmax(-1), differs.shape[1:]), -1)
    return np.where(flat.sum(-1, keepdims=True) == 1, cells, -1)


def _directions(model: Model, places: np.ndarray, numbers: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """float [M, 2]: where (down, right) an action most probably leads; zero where it stays or leaves the map."""
    outcome = model.probability[numbers, actions].argmax(-1)
    after = places[model.next_state[numbers, actions, outcome]]
    way = np.where(after.min(-1, keepdims=True) < 0, 0, after - places[numbers])
    return way / np.maximum(np.hypot(*way.T), 1)[:, None]


def _optimal(model: Model, discount: float, legal: np.ndarray, numbers: np.ndarray) -> np.ndarray | None:
    """float [M, A]: the exact optimal action values, NaN where illegal; None where they are not finite."""
    try:
        values = exact.value_iteration(model, discount, legal)[numbers]
    except UsageError:  # (an endless world without a discount)
        return None
    return np.where(legal[numbers], values, np.nan)
