"""The types that every part of jaxrl shares: records of arrays, and records of pure functions.

Axis letters, in every comment and docstring: `T` time, `N` rows (parallel actors), `A` agents, `B` minibatch,
`C` capacity, `L` chunk length, `S` seeds. Arrays are time-major.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
Key = jax.Array  # a typed key (`jax.random.key`)
Tree = Any  # a pytree of arrays


class Observation(NamedTuple):
    """What `vectorize` emits. A field that is None is no leaf and costs nothing."""

    features: Tree  # [N, ...] what networks and normalisers read
    legal: Array | None = None  # bool [N, n] legal actions in this very state
    goal: Tree | None = None  # [N, ...] the goal of a goal-conditioned task
    achieved: Tree | None = None  # [N, ...] the goal that this state achieves
    state: Tree | None = None  # [N, ...] the world's state, for a central critic


class Timestep(NamedTuple):
    """What an agent sees. `first` belongs to `obs`; every other flag to the transition that led here."""

    obs: Observation  # [N, ...] act on this: already the new episode's first one where the last one ended
    first: Array  # bool [N] obs opens an episode, so carries restart here
    reward: Array  # float [N] earned by the transition that led here
    terminated: Array  # bool [N] it reached an absorbing state: bootstrap 0
    truncated: Array  # bool [N] it hit a limit: bootstrap V(final_obs)
    valid: Array  # bool [N] it is real: its weight in every loss
    final_obs: Observation  # [N, ...] what it really reached; equals obs unless the episode ended
    info: dict[str, Array]  # fixed keys: episode_return, episode_length [N], and the environment's measures


class Transition(NamedTuple):
    """What is learnt from: leaves [T, N, ...] in a rollout, [B, ...] in a batch."""

    obs: Observation
    first: Array  # bool: obs opens an episode
    action: Tree
    reward: Array
    terminated: Array  # bool: next_obs is absorbing
    truncated: Array  # bool: a limit ended the episode at next_obs
    valid: Array  # bool: the transition is real
    next_obs: Observation  # what the transition reached (never the observation after a reset)
    extras: Tree  # the agent's own: log_prob, ...

    @property
    def ended(self) -> Array:
        """bool [...]: the episode ended with this transition, for either reason."""
        return self.terminated | self.truncated


class Experience(NamedTuple):
    """What replay deals: an n-step transition, leaves [B, ...]; n is 1 unless the buffer was told another."""

    obs: Observation
    action: Tree
    reward: Array  # float: the discounted sum of the rewards on the way
    discount: Array  # float: of what next_obs is worth: discount^n, 0 behind a termination
    valid: Array  # bool: the transition is real
    next_obs: Observation  # what the last of the steps reached (never the observation after a reset)
    extras: Tree


class Rollout(NamedTuple):
    steps: Transition  # [T, N, ...]
    carry: Tree  # [N, ...] the agent's carry before steps[0]; () for a feed-forward agent


class Model(NamedTuple):
    """The exact dynamics of an enumerable environment: K outcomes of each of A actions in each of S states."""

    probability: Array  # float [S, A, K]
    next_state: Array  # int [S, A, K]
    reward: Array  # float [S, A, K]
    terminated: Array  # bool [S, A, K]
    start: Array  # float [S] distribution of the first state


class Environment(NamedTuple):
    """ONE environment: no batch, no time limit, no auto-reset. This is what authors write."""

    reset: Callable[..., Any]  # (key, params) -> (state, obs)
    step: Callable[..., Any]  # (key, state, action, params) -> (state, obs, reward, terminated)
    observation_space: Any
    action_space: Any
    params: Tree = ()  # default dynamics parameters, so that they can be vmapped, chosen and randomised
    max_steps: int | None = None
    num_agents: int | None = None  # A: obs, action, reward and terminated carry [A]; None: scalars
    legal_actions: Callable[..., Array] | None = None  # (state, params) -> bool [n]
    measure: Callable[..., dict[str, Array]] | None = None  # (state, params) -> {name: scalar}
    model: Callable[..., Model] | None = None  # (params) -> Model, the exact oracle
    render: Callable[..., Array] | None = None  # (state, params) -> uint8 [H, W, 3]
    hindsight: Callable[..., Any] | None = None  # (achieved, goal) [...] -> (reward, terminated) under any goal


class VecEnv(NamedTuple):
    """N environments behind one `step`, with time limits, auto-reset and episode statistics."""

    reset: Callable[..., Any]  # (key, task) -> (state, Timestep)
    step: Callable[..., Any]  # (key, state, action, task) -> (state, Timestep)
    observation_space: Any
    action_space: Any
    params: Tree  # the default task
    num_rows: int  # N: actors, so environments times agents after `share_parameters`
    num_envs: int


class Network(NamedTuple):
    """A function approximator with a memory; the carry of a feed-forward one is ().

    With `key=None` the network is deterministic. `first` [N] marks the rows whose carry restarts before obs.
    """

    init: Callable[..., Tree]  # (key, obs [N, ...]) -> params
    begin: Callable[[int], Tree]  # (n) -> carry [n, ...]
    step: Callable[..., Any]  # (params, carry, obs, first, key=None) -> (carry, out)
    unroll: Callable[..., Any]  # (params, carry, obs [T], first [T], key=None) -> (carries after [T], out [T])


class Agent(NamedTuple):
    init: Callable[..., Any]  # (key, timestep) -> state
    begin: Callable[[int], Tree]  # (n) -> carry [n, ...]: all memory per row that `act` updates
    act: Callable[..., Any]  # (state, key, carry, timestep, explore=True) -> (action, carry, extras)
    learn: Callable[..., Any]  # (state, key, rollout) -> (state, metrics)


class Sample(NamedTuple):
    items: Tree  # Experience [B, ...]; a Rollout [L, B, ...] from a buffer of sequences
    indices: Array  # int32 [B]
    weights: Array  # float [B] importance weights; ones from a uniform buffer


class Buffer(NamedTuple):
    init: Callable[..., Any]  # (rollout example [T, N, ...]) -> state
    add: Callable[..., Any]  # (state, rollout) -> state
    sample: Callable[..., Sample]  # (state, key, discount) -> Sample
    update: Callable[..., Any]  # (state, indices, priorities) -> state
    ready: Callable[..., Array]  # (state) -> bool


class TrainState(NamedTuple):
    """Everything that training carries: saving it saves the run."""

    key: Key
    agent: Any
    env: Any
    timestep: Timestep
    carry: Tree
    task: Tree
    updates: Array  # int32: calls of `learn` so far


class Trainer(NamedTuple):
    init: Callable[[Key], TrainState]
    step: Callable[[TrainState], tuple[TrainState, dict[str, Any]]]
    steps_per_update: int  # environment steps, over all environments
