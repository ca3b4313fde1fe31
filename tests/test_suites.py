"""Environments of other suites: the laws of ours, the suite's own episodes, its limit outside; else an install hint.

A suite that is not installed is refused, and that is what its rows of the tables then check.
"""

import functools
import importlib.metadata

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import agents, envs, loop, networks, spaces, suites, transforms
from jaxrl.agents import ppo
from jaxrl.command_line import main
from jaxrl.errors import UsageError
from jaxrl.settings import check
from jaxrl.suites.shared import box, closed, plain, unlimited
from jaxrl.types import Observation
from jaxrl.vectorize import vectorize

EXAMPLES = {  # each kind of space, mask and limit that a suite has, in its cheapest environments: the limit
    "brax:inverted_pendulum": 1000,
    "jaxmarl:MPE_simple_speaker_listener_v4": 25,
    "jaxmarl:switch_riddle": 6,
    "jumanji:Maze-v0": 100,
    "jumanji:Game2048-v1": None,
    "navix:Navix-Empty-5x5-v0": 100,
    "pgx:2048": None,
    "pgx:tic_tac_toe": None,
    "playground:CartpoleBalance": 1000,
}
every = pytest.mark.parametrize("name", EXAMPLES)


def installed(name):
    try:
        importlib.metadata.version(suites.SUITES[name.partition(":")[0]].distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def refused(name):
    """Whether the suite is absent; it must say so then."""
    if installed(name):
        return False
    suite = suites.SUITES[name.partition(":")[0]]
    with pytest.raises(UsageError, match=f"{suite.distribution} is not installed; expected .* or later: pip install"):
        envs.make(name)
    return True


@functools.cache
def made(name):
    return envs.make(name)


@every
def test_the_laws_of_environments(name):
    """States closed under steps; 60 steps of 4 rows in their spaces; some action legal; a row alone as among others."""
    if refused(name):
        return
    env, key = made(name), jax.random.key(0)
    state, obs = jax.eval_shape(env.reset, key, env.params)
    shape = () if env.num_agents is None else (env.num_agents,)
    action = jax.ShapeDtypeStruct((*shape, *env.action_space.shape), env.action_space.dtype)
    after = jax.eval_shape(env.step, key, state, action, env.params)
    assert contracts.kinds(after[0]) == contracts.kinds(state) and contracts.kinds(after[1]) == contracts.kinds(obs)
    assert [(x.shape, x.dtype) for x in after[2:]] == [(shape, np.float32), (shape, bool)]
    walk = contracts.quick(lambda key: contracts.random_walk(env, key, 60, 4))(jax.random.key(1))
    features = walk.after[1].features if isinstance(walk.after[1], Observation) else walk.after[1]
    inside = functools.partial(spaces.contains, env.observation_space)
    for _ in range(2 + len(shape)):
        inside = jax.vmap(inside)
    assert bool(jnp.all(inside(features))) and np.isfinite(np.asarray(walk.after[2])).all()
    if env.legal_actions is not None:
        assert walk.legal.dtype == bool and np.asarray(walk.legal).any(-1).all()
    alone = contracts.quick(env.step)
    for t, row in ((0, 0), (33, 3)):
        key, state, action, among = jax.tree.map(lambda x: x[t, row], (walk.key, walk.state, walk.action, walk.after))  # noqa: B023
        contracts.assert_close(alone(key, state, action, env.params), among, 1e-4)


# --- the suites' own episodes: (reset, step) that give (state, what is seen) and (..., reward, over, cut) -----------


def brax_episodes(library, name):
    env = library.create(name, auto_reset=False)  # with its own limit of 1000 steps

    def step(key, state, action):
        state = env.step(state, action)
        return state, state.obs, state.reward, state.done > 0, state.info["truncation"] > 0

    return lambda key: (lambda state: (state, state.obs))(env.reset(key)), step


def jaxmarl_episodes(library, name):
    env = library.make(name)

    def seen(obs):
        parts = [obs[agent] for agent in env.agents]
        longest = max(part.size for part in parts)
        return jnp.stack([jnp.pad(part, (0, longest - part.size)) for part in parts])

    def step(key, state, action):
        sizes = [env.action_space(agent).n for agent in env.agents]
        chosen = {agent: jnp.minimum(action[i], sizes[i] - 1) for i, agent in enumerate(env.agents)}
        obs, state, reward, done, _ = env.step_env(key, state, chosen)
        rewards = jnp.stack([reward[agent] for agent in env.agents])
        told = jnp.any(rewards != 0) if name == "switch_riddle" else jnp.bool_(False)
        return state, seen(obs), rewards, done["__all__"], done["__all__"] & ~told

    def reset(key):
        obs, state = env.reset(key)
        return state, seen(obs)

    return reset, step


def jumanji_episodes(library, name):
    env = library.make(name)

    def seen(timestep):
        obs = timestep.observation
        if name == "Game2048-v1":
            return {"board": obs.board}
        both = {each: getattr(obs, each)._asdict() for each in ("agent_position", "target_position")}
        return both | {"walls": obs.walls.astype(jnp.float32), "step_count": obs.step_count}

    def step(key, state, action):
        state, timestep = env.step(state, action)
        limit = timestep.observation.step_count >= env.time_limit if name == "Maze-v0" else jnp.bool_(False)
        at_goal = timestep.reward > 0 if name == "Maze-v0" else jnp.bool_(True)
        return state, seen(timestep), timestep.reward, timestep.last(), limit & ~at_goal

    def reset(key):
        state, timestep = env.reset(key)
        return state, seen(timestep)

    return reset, step


def navix_episodes(library, name):
    env = library.make(name)

    def step(key, timestep, action):
        timestep = env.step(timestep, action)
        return timestep, timestep.observation, timestep.reward, timestep.is_done(), timestep.is_truncation()

    return lambda key: (lambda timestep: (timestep, timestep.observation))(env.reset(key)), step


def pgx_episodes(library, name):
    env = library.make(name)

    def seen(state):
        if env.num_players == 1:
            return state.observation.astype(jnp.float32)
        mine, theirs = state.observation, state.observation[..., ::-1]  # the planes (mine, the other's)
        return jnp.where(state.current_player == 0, jnp.stack([mine, theirs]), jnp.stack([theirs, mine])).astype(float)

    def step(key, state, action):
        state = env.step(state, action if env.num_players == 1 else action[state.current_player], key)
        reward = state.rewards[0] if env.num_players == 1 else state.rewards
        return state, seen(state), reward, state.terminated, state.truncated

    return lambda key: (lambda state: (state, seen(state)))(env.init(key)), step


def playground_episodes(library, name):
    env = library.registry.load(name, config_overrides={"impl": "jax"})

    def step(key, state, action):
        state = env.step(state, action)
        return state, state.obs, state.reward, state.done > 0, jnp.bool_(False)

    return lambda key: (lambda state: (state, state.obs))(env.reset(key)), step


EPISODES = {
    "brax": brax_episodes, "jaxmarl": jaxmarl_episodes, "jumanji": jumanji_episodes, "navix": navix_episodes,
    "pgx": pgx_episodes, "playground": playground_episodes,
}  # fmt: skip


@every
def test_episodes_are_the_suites_own(name):
    """Two random episodes, to their ends: the same observations and rewards; over where it is over there."""
    if refused(name):
        return
    env, (suite, _, its_name) = made(name), name.partition(":")
    reset, step = map(jax.jit, EPISODES[suite](suites.load(suite), its_name))
    endless, ends = name == "playground:CartpoleBalance", 0
    assert env.max_steps == EXAMPLES[name]
    advance, fresh = contracts.quick(env.step), contracts.quick(env.reset)
    for seed in range(2):
        (theirs, expected), (mine, seen) = reset(plain(jax.random.key(seed))), fresh(jax.random.key(seed), env.params)
        for t in range(40 if endless else 600):
            contracts.assert_close(seen, jax.tree.map(lambda x, like: x.astype(like.dtype), expected, seen), 1e-4)
            key = jax.random.fold_in(jax.random.key(7), t)
            legal = () if env.legal_actions is None else env.legal_actions(mine, env.params)
            action = random_action(env, key, legal)
            theirs, expected, reward, over, cut = step(plain(key), theirs, action)
            mine, seen, my_reward, terminated = advance(key, mine, action, env.params)
            np.testing.assert_allclose(my_reward, reward, rtol=1e-4, atol=1e-5)
            assert bool(jnp.all(terminated)) == bool(over & ~cut)
            if over:
                # JaxMARL's particle worlds look at the count of the steps before this one.
                assert not cut or t + 1 == env.max_steps + ("MPE" in name)
                ends += 1
                break
    assert ends == (0 if endless else 2)


def random_action(env, key, legal):
    if env.legal_actions is not None:
        return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf)).astype(env.action_space.dtype)
    if env.num_agents is None:
        return spaces.sample(env.action_space, key)
    return jax.vmap(lambda key: spaces.sample(env.action_space, key))(jax.random.split(key, env.num_agents))


@every
def test_limits_are_ours(name):
    """With max_steps=2, two steps that end nothing are a truncation, and no termination."""
    if refused(name):
        return
    env = envs.make(name, max_steps=2)
    venv = vectorize(env, 3)
    reset, step = contracts.quick(venv.reset), contracts.quick(venv.step)
    state, timestep = reset(jax.random.key(0), env.params)
    assert envs.make(name, max_steps=None).max_steps is None
    going = np.ones(3, bool)
    for limit in (False, True):
        keys = jax.random.split(jax.random.key(1), 3)
        legal = timestep.obs.legal if env.legal_actions is not None else ()
        rows = [
            random_action(env, key, legal[i] if env.legal_actions is not None else ()) for i, key in enumerate(keys)
        ]
        state, timestep = step(jax.random.key(2), state, jnp.stack(rows), env.params)
        going &= ~np.asarray(timestep.terminated).reshape(3, -1).all(-1)
        np.testing.assert_array_equal(np.asarray(timestep.truncated).reshape(3, -1).all(-1)[going], limit)
    assert going.any() or name == "jaxmarl:switch_riddle"


def test_boards_of_pgx_have_turns():
    """Who is not on turn may only wait, who is may not; waiting all the same is illegal and loses."""
    if refused("pgx:tic_tac_toe"):
        return
    env = made("pgx:tic_tac_toe")
    state, obs = env.reset(jax.random.key(0), env.params)
    legal = env.legal_actions(state, env.params)
    turn = int(state.current_player)
    assert legal.shape == (2, 10) and obs.shape == (2, 3, 3, 2)
    assert legal[turn].tolist() == [True] * 9 + [False] and legal[1 - turn].tolist() == [False] * 9 + [True]
    after, obs, reward, terminated = env.step(jax.random.key(0), state, jnp.full(2, 4), env.params)
    assert int(after.current_player) == 1 - turn and not terminated.any() and not reward.any()
    assert obs[turn, 1, 1].tolist() == [1.0, 0.0] and obs[1 - turn, 1, 1].tolist() == [0.0, 1.0]
    *_, reward, terminated = env.step(jax.random.key(0), after, jnp.full(2, 9), env.params)
    assert terminated.all() and float(reward[1 - turn]) == -1.0 and float(reward[turn]) == 1.0


def test_an_agent_trains_on_a_game_of_another_suite():
    if refused("pgx:2048"):
        return
    env = transforms.flatten(made("pgx:2048"))
    agent = agents.make("ppo", env, networks.Settings(hidden=(8,)), ppo.Config(num_epochs=1, num_minibatches=1))
    trainer = loop.make_trainer(agent, vectorize(env, 2), 4)
    state, metrics = contracts.quick(loop.train(trainer, 2))(jax.random.key(0))
    assert int(state.updates) == 2 and np.isfinite(metrics["policy_loss"].value()).all()


# --- names, versions, options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", suites.SUITES)
def test_an_absent_or_old_suite_gives_an_install_hint(suite, monkeypatch):
    its = suites.SUITES[suite]
    wanted = ".".join(map(str, its.version))
    advice = f'expected {wanted} or later: pip install "{its.distribution}>={wanted}" (or "jaxrl[{suite}]")'

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(UsageError) as error:
        envs.make(f"{suite}:whatever")
    assert str(error.value) == f"{its.distribution} is not installed; {advice}"
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.0.9")
    with pytest.raises(UsageError) as error:
        envs.make(f"{suite}:whatever")
    assert str(error.value) == f"{its.distribution} 0.0.9 is too old; {advice}"


def test_unknown_names_and_options_are_refused():
    with pytest.raises(UsageError, match="unknown suite 'navx': did you mean navix"):
        envs.make("navx:Navix-Empty-5x5-v0")
    if refused("pgx:tic_tac_toe"):
        return
    with pytest.raises(UsageError, match="unknown pgx environment 'tictactoe': did you mean tic_tac_toe"):
        envs.make("pgx:tictactoe")
    for steps, message in ((0, "max_steps is 0: expected at least 1"), ("9", "option max_steps of pgx:tic_tac_toe is")):
        with pytest.raises(UsageError, match=message):
            envs.make("pgx:tic_tac_toe", max_steps=steps)
    with pytest.raises(UsageError, match="the options {'size': 3} do not fit pgx:tic_tac_toe: "):
        envs.make("pgx:tic_tac_toe", size=3)


def test_the_command_line_and_settings_know_suites(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {suite}:NAME " in listed for suite in suites.SUITES)
    values = {"algorithm": "ppo", "environment": "pgx:2048", "num_steps": 64, "num_envs": 2, "rollout_length": 4}
    assert check(values).environment == "pgx:2048"
    code = main(["list", "pgx:tic_tac_toe"])
    captured = capsys.readouterr()
    if installed("pgx:tic_tac_toe"):
        assert code == 0 and "shape=(3, 3, 2)" in captured.out
    else:
        assert code == 2 and "pgx is not installed" in captured.err


# --- what the suites share -----------------------------------------------------------------------------------------


class Timed:
    """A stand-in for a suite's environment that ends at its limit."""

    def __init__(self, time_limit=3, inner=None):
        if inner is None:
            self.time_limit = time_limit
        else:
            self._env = inner


def test_a_copy_without_the_limit_leaves_the_original():
    env = Timed()
    other, wrapped = unlimited(env, "time_limit"), unlimited(Timed(inner=env), "time_limit")
    assert env.time_limit == 3 and other.time_limit == wrapped._env.time_limit == 2**30
    assert vars(unlimited(Timed(inner=Timed(5)), "max_steps")._env) == {"time_limit": 5}


def test_states_keep_the_types_of_a_step_and_features_those_of_their_space():
    def reset(key):
        return {"count": 0, "flag": True}, jnp.zeros(2, bool)

    def step(key, state, action):
        count = state["count"] + jnp.int32(1)
        return {"count": count, "flag": count > 0}, jnp.ones(2, bool), count, count >= 3

    env = closed(reset, step, box(jax.ShapeDtypeStruct((2,), bool)), spaces.Discrete(2))
    state, obs = env.reset(jax.random.key(0), ())
    after = env.step(jax.random.key(0), state, jnp.int32(0), ())
    assert contracts.kinds(after[0]) == contracts.kinds(state) and obs.dtype == after[1].dtype == np.float32
    assert after[2].dtype == np.float32 and after[3].dtype == bool
    assert env.observation_space == spaces.Box(0.0, 1.0, (2,))
    assert box(jax.ShapeDtypeStruct((3,), np.uint8), high=8) == spaces.Box(0, 8, (3,), np.uint8)
    assert box(jax.ShapeDtypeStruct((), np.float32)) == spaces.Box(-np.inf, np.inf, ())
