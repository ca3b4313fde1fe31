"""The ring: a five-state world whose values tell a right bootstrap from each of the usual wrong ones.

State i -> i + 1 mod 5, reward 1 for leaving state 0, discount 0.9, uniform start, truncated after 3 steps. Every agent
that estimates values learns it once as it is and once per mistake, which is made by what stands between it and the
world. Each must arrive at its own row of the table, so the first row cannot be reached by luck.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import action_networks, agents, envs, loop, networks, spaces, transforms, trees, value_networks
from jaxrl.agents import ddpg, dqn, dqn_family, ppo, pqn, r2d2, sac
from jaxrl.agents.replay import replay
from jaxrl.agents.tabular import q_learning
from jaxrl.buffers.sequence import sequence
from jaxrl.types import VecEnv
from jaxrl.vectorize import vectorize

VALUES = np.array(
    [
        [2.442, 1.602, 1.780, 1.978, 2.198],  # right: bootstraps the final observation
        [1.084, 0.141, 0.234, 0.390, 0.651],  # truncation treated as termination
        [2.584, 1.641, 1.734, 1.890, 2.151],  # bootstraps the observation after the reset
        [2.659, 1.435, 1.674, 1.953, 2.279],  # bootstraps the observation before the limit
        [1.911, 1.220, 1.307, 1.436, 1.627],  # trains on the extra row of a reset in the next step
    ]
)
RIGHT, AS_TERMINATION, AFTER_RESET, BEFORE_LIMIT, EXTRA_ROW = range(5)
LINEAR = networks.Settings(hidden=())


def test_the_right_row_is_the_closed_form():
    np.testing.assert_allclose(VALUES[RIGHT], 0.9 ** ((5 - np.arange(5)) % 5) / (1 - 0.9**5), atol=5e-4)


def mistaken(venv: VecEnv) -> VecEnv:
    """The same worlds, seen through the mistake that the task (int32 []) names."""

    def reset(key, task):
        state, timestep = venv.reset(key, ())
        return (state, timestep, jnp.zeros(venv.num_rows, bool)), timestep

    def step(key, before, action, task):
        inner, last, waits = before
        moved, timestep = venv.step(key, inner, action, ())
        ended = timestep.terminated | timestep.truncated
        as_termination = timestep._replace(terminated=ended)
        after_reset = timestep._replace(final_obs=timestep.obs)
        before_limit = timestep._replace(final_obs=trees.where(timestep.truncated, last.obs, timestep.final_obs))
        held = timestep._replace(obs=timestep.final_obs, first=jnp.zeros_like(ended))
        row = last._replace(reward=jnp.zeros_like(last.reward), truncated=jnp.zeros_like(ended), final_obs=last.obs)
        extra_row = trees.where(waits, row, held)
        seen = [timestep, as_termination, after_reset, before_limit, extra_row]
        seen = jax.tree.map(lambda *options: jnp.stack(options)[task], *seen)
        waits_now = ended & ~waits & (task == EXTRA_ROW)
        inner = trees.where(waits, inner, moved)
        kept = trees.where(waits_now | (task != EXTRA_ROW), timestep, seen)
        return (inner, kept, waits_now), seen

    return venv._replace(reset=reset, step=step, params=jnp.int32(0))


def index(env):
    return transforms._map_features(env, lambda x: jnp.argmax(x).astype(jnp.int32), spaces.Discrete(5))


def with_ppo():
    config = ppo.Config(
        num_epochs=2, num_minibatches=1, discount=0.9, trace_decay=0.0, learning_rate=0.05, total_updates=400,
        value_clip_range=float("inf"), max_gradient_norm=float("inf"),
    )  # fmt: skip
    network = networks.actor_critic(LINEAR, 1)
    env = envs.make("ring")
    return (
        env,
        ppo.ppo(network, env.action_space, config),
        lambda state: network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][1],
    )


def with_policy(name, **options):
    """Of an agent over a linear actor-critic network; TRPO keeps two copies of it."""
    env, network = envs.make("ring"), networks.actor_critic(LINEAR, 1)
    config = agents.default_config(name)._replace(
        discount=0.9, total_updates=400.0, max_gradient_norm=float("inf"), **options
    )

    def values(state):
        params = state.params.critic if name == "trpo" else state.params
        return network.step(params, (), jnp.eye(5), jnp.zeros(5, bool))[1][1]

    return env, agents.make(name, env, LINEAR, config), values


def with_dqn(name="dqn", settings=LINEAR, **options):
    config = agents.default_config(name)._replace(**{
        "buffer_size": 3072 * 32, "batch_size": 1024, "learning_starts": 1024, "discount": 0.9, "learning_rate": 0.05,
        "total_updates": 400, "gradient_steps": 3 / 3072, "target_rate": 0.2, "max_gradient_norm": float("inf"),
        "huber_threshold": float("inf"), **options,
    })  # fmt: skip
    env = envs.make("ring")
    parts = dqn_family.parts(env, settings, config)

    def values(state):
        _, out = parts.network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))
        return parts.head.values(out, config)[:, 0]

    return env, dqn.dqn(parts.network, env.action_space, config, parts.buffer, parts.head, parts.backup), values


def with_critics(name, **options):
    """An actor-critic with replay, whose critics see no continuous action: they would blame its noise for the blur."""
    env = envs.make("ring")
    continuous = name != "sac_discrete"
    env = env._replace(action_space=spaces.Box(-1.0, 1.0, (1,)), step=any_action(env.step)) if continuous else env
    config = agents.default_config(name)._replace(**{
        "buffer_size": 3072 * 32, "batch_size": 1024, "learning_starts": 1024, "discount": 0.9, "learning_rate": 0.05,
        "total_updates": 400, "gradient_steps": 4 / 3072, "target_rate": 0.2, **options,
    })  # fmt: skip
    table = value_networks.q_network(LINEAR, 1)
    blind = table._replace(
        init=lambda key, obs: table.init(key, obs[0]),
        step=lambda params, carry, obs, first, key=None: (carry, table.step(params, (), obs[0], first)[1][..., 0]),
    )
    make = sac.sac if name.startswith("sac") else ddpg.ddpg
    memory = replay(env, config, getattr(config, "policy_delay", 1))
    policy = action_networks.policy(LINEAR, 2 if name == "sac" else 1)
    agent = make(policy, blind if continuous else table, env.action_space, config, memory)
    critics = action_networks.ensemble(table, config.num_critics)
    return (
        env,
        agent,
        lambda state: critics.step(state.params.critic, (), jnp.eye(5), jnp.zeros(5, bool))[1].mean((0, 2)),
    )


def any_action(step):
    return lambda key, state, action, params: step(key, state, jnp.int32(0), params)


def with_pqn():
    config = pqn.Config(
        num_epochs=2, num_minibatches=1, discount=0.9, trace_decay=0.0, learning_rate=0.05, total_updates=400,
        max_gradient_norm=float("inf"),
    )  # fmt: skip
    network = value_networks.q_network(LINEAR, 1)
    env = envs.make("ring")
    return (
        env,
        pqn.pqn(network, env.action_space, config),
        lambda state: network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][:, 0],
    )


def with_q_learning():
    config = q_learning.Config(learning_rate=1.0, learning_rate_decay=0.1, discount=0.9)
    env = index(envs.make("ring"))
    return env, q_learning.q_learning(env.observation_space, env.action_space, config), lambda state: state.values[:, 0]


def with_r2d2():
    config = r2d2.Config(
        length=6, burn_in=3, dueling=False, rescaled=False, backup_steps=1, discount=0.9, learning_rate=0.05,
        total_updates=400, gradient_steps=3 / 3072, target_rate=0.2, max_gradient_norm=float("inf"),
    )  # fmt: skip
    network = value_networks.q_network(LINEAR, 1)
    env, buffer = envs.make("ring"), sequence(3072 * 32, 170, 9, stride=3)
    return (
        env,
        r2d2.r2d2(network, env.action_space, config, buffer),
        lambda state: network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][:, 0],
    )


def with_tabular(name, **options):
    env = index(envs.make("ring"))
    config = agents.default_config(name)._replace(discount=0.9, **options)
    return env, agents.make(name, env, config=config), lambda state: state.values.reshape(-1, 5).mean(0)


def with_linear_sarsa():
    env = envs.make("ring")  # of whose one-hot observations each lies in a tile of its own
    config = agents.default_config("linear_sarsa")._replace(
        discount=0.9, tiles=1, tilings=1, trace_decay=0.0, learning_rate=0.2, total_updates=400.0
    )
    agent = agents.make("linear_sarsa", env, config=config)
    first = 2 ** jnp.arange(5)  # the index of a tile has a bit per axis
    return env, agent, lambda state: state.values[first, 0]


PLANNING = {
    name: functools.partial(with_tabular, name, learning_rate=1.0, learning_rate_decay=0.1, planning_steps=1)
    for name in ("dyna_q", "dyna_q_plus", "prioritised_sweeping")
}
PLANNING["dyna_q_plus"] = functools.partial(PLANNING["dyna_q_plus"], time_bonus=0.0)
LEARNERS = {"r2d2": with_r2d2, "ppo": with_ppo, "dqn": with_dqn, "pqn": with_pqn, "q_learning": with_q_learning}
LEARNERS |= PLANNING | {"linear_sarsa": with_linear_sarsa}
AVERAGED = {"learning_rate": 1.0, "learning_rate_decay": 0.1}
LEARNERS |= {
    "a2c": functools.partial(with_policy, "a2c", trace_decay=0.0, num_epochs=2, learning_rate=0.05),
    "impala": functools.partial(with_policy, "impala", trace_decay=0.0, num_epochs=2, learning_rate=0.05),
    "trpo": functools.partial(
        with_policy, "trpo", trace_decay=0.0, num_epochs=2, num_minibatches=1, learning_rate=0.05, cg_steps=2
    ),
    "actor_critic": functools.partial(with_policy, "actor_critic", learning_rate=0.5),
    "actor_critic_lambda": functools.partial(with_policy, "actor_critic_lambda", learning_rate=0.2, trace_decay=0.5),
    "reinforce_baseline": functools.partial(with_policy, "reinforce_baseline", learning_rate=0.1),
}
ONE_STEP = {"double_q_learning": {}, "expected_sarsa": {}, "sarsa": {"backup_steps": 1}, "td_prediction": {}}
LEARNERS |= {name: functools.partial(with_tabular, name, **AVERAGED | own) for name, own in ONE_STEP.items()}
MANY_STEPS = {  # whose mistakes lead elsewhere than those of one step
    "n_step_sarsa": {"backup_steps": 3}, "tree_backup": {"backup_steps": 3}, "sarsa_lambda": {}, "q_lambda": {},
    "td_lambda": {}, "monte_carlo": {},
}  # fmt: skip
LEARNERS |= {name: functools.partial(with_tabular, name, **AVERAGED | own) for name, own in MANY_STEPS.items()}
MANY_STEPS |= {"actor_critic_lambda": {}, "reinforce_baseline": {}}
DISTRIBUTIONS = {  # the mean of a few quantiles is that of their distribution only where it has one value
    "qr_dqn": functools.partial(with_dqn, "qr_dqn", num_quantiles=8, batch_size=256),
    "iqn": functools.partial(
        with_dqn,
        "iqn",
        networks.Settings((16,)),
        num_quantiles=8,
        batch_size=256,
        learning_rate=0.02,
        huber_threshold=1.0,
    ),
}
ATOMS = {"num_atoms": 19, "value_low": -2.0, "value_high": 7.0, "learning_rate": 0.1, "batch_size": 512}
LEARNERS |= DISTRIBUTIONS | {
    "double_dqn": functools.partial(with_dqn, "double_dqn"),
    "dueling_dqn": functools.partial(with_dqn, "dueling_dqn"),
    "munchausen_dqn": functools.partial(with_dqn, "munchausen_dqn"),
    "prioritized_dqn": functools.partial(with_dqn, "prioritized_dqn", importance_start=1.0),
    "c51": functools.partial(with_dqn, "c51", **ATOMS),
    "rainbow": functools.partial(  # without its noise, which stays in the weights, and one step at a time
        with_dqn, "rainbow", noisy=False, backup_steps=1, importance_start=1.0, **ATOMS
    ),
}
LEARNERS |= {
    "ddpg": functools.partial(with_critics, "ddpg"),
    "td3": functools.partial(with_critics, "td3"),
    "sac": functools.partial(with_critics, "sac", tuned=False, temperature=1e-6),
    "sac_discrete": functools.partial(with_critics, "sac_discrete"),
}
NEEDS_GOALS = {"her"}
LONG = {"double_dqn", "dueling_dqn", "iqn", "rainbow"}
WITHOUT_VALUES = {"differential_actor_critic", "differential_sarsa", "random", "reinforce"}


def test_every_algorithm_with_values_is_on_the_ring():
    teams = {name for name in agents.names() if agents.algorithm(name).team or agents.algorithm(name).central}
    assert set(LEARNERS) | WITHOUT_VALUES | NEEDS_GOALS | teams == set(agents.names())


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else []) for n in LEARNERS])
def test_values_bootstrap_from_what_was_reached(name):
    """Right as it is, to 0.02; each mistake leads to values of its own, which random starts blur to 0.04."""
    env, agent, values = LEARNERS[name]()
    trainer = loop.make_trainer(agent, mistaken(vectorize(env, 256)), 12)

    def learn(task):
        state = trainer.init(jax.random.key(0))._replace(task=task)
        return values(jax.lax.scan(lambda s, _: (trainer.step(s)[0], None), state, length=400)[0].agent)

    learnt = np.asarray(jax.jit(jax.vmap(learn))(jnp.arange(5)))  # it runs for longer than it compiles
    np.testing.assert_allclose(learnt[RIGHT], VALUES[RIGHT], atol=0.02)
    if name in DISTRIBUTIONS or name in MANY_STEPS:
        assert np.abs(learnt[1:] - VALUES[RIGHT])[:, :2].max(-1).min() > 0.08
        return
    np.testing.assert_allclose(learnt, VALUES, atol=0.04)
    apart = np.abs(VALUES[:, None, :2] - VALUES[None, :, :2]).max(-1)[~np.eye(5, dtype=bool)]
    assert apart.min() > 2 * 0.04


THREE_STEPS = {
    "dqn": {}, "c51": ATOMS, "prioritized_dqn": {},
    "qr_dqn": {"num_quantiles": 8}, "munchausen_dqn": {},
}  # fmt: skip


def learnt_in_full(env, agent, values):
    trainer = loop.make_trainer(agent, vectorize(env, 256), 12)
    train = jax.jit(lambda key: loop.train(trainer, 400)(key)[0].agent)
    return np.asarray(values(train(jax.random.key(0))))


@pytest.mark.parametrize("name", THREE_STEPS)
def test_three_step_targets_arrive_at_the_same_values(name):
    """Also where the limit cuts the three steps short."""
    learnt = learnt_in_full(*with_dqn(name, backup_steps=3, **THREE_STEPS[name]))
    np.testing.assert_allclose(learnt, VALUES[RIGHT], atol=0.02)


def test_three_steps_at_the_discount_of_one_are_found_out():
    """Without a limit, and with discount in place of discount^3, the values are those of another equation."""
    env = envs.make("ring", max_steps=None)
    config = dqn.Config(
        buffer_size=3072 * 32, batch_size=1024, learning_starts=1024, discount=0.9, learning_rate=0.2,
        total_updates=400, gradient_steps=3 / 3072, target_rate=0.3, max_gradient_norm=float("inf"),
        huber_threshold=float("inf"), backup_steps=3,
    )  # fmt: skip
    parts = dqn_family.parts(env, LINEAR, config)

    def sample(state, key, discount):
        sample = parts.buffer.sample(state, key, discount)
        beyond = jnp.where(sample.items.discount > 0, discount, 0.0)
        return sample._replace(items=sample.items._replace(discount=beyond))

    for buffer, expected in (
        (parts.buffer, VALUES[RIGHT]), (parts.buffer._replace(sample=sample), [5.824, 5.056, 5.242, 5.360, 5.618])
    ):  # fmt: skip
        agent = dqn.dqn(parts.network, env.action_space, config, buffer)
        learnt = learnt_in_full(
            env, agent, lambda state: parts.network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][:, 0]
        )
        np.testing.assert_allclose(learnt, expected, atol=0.03)
