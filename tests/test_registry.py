"""A user's own worlds by name."""

import pytest

import jaxrl
from jaxrl import envs
from jaxrl.envs import registry
from jaxrl.envs.probes import chain, ring
from jaxrl.errors import UsageError


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "CONSTRUCTORS", dict(registry.CONSTRUCTORS))


def test_a_registered_world_is_made_with_its_options_and_trained_on():
    envs.register("my_chain", chain)
    assert "my_chain" in envs.names() and envs.make("my_chain", length=7).observation_space.shape == (8,)
    with pytest.raises(UsageError, match="unknown option of my_chain 'lenth': did you mean length?"):
        envs.make("my_chain", lenth=7)
    options = {"length": 4}
    result = jaxrl.train("random", "my_chain", num_steps=2048, environment_options=options, progress=False)
    assert result.metrics.episode_return.iloc[-1] == 4


def test_an_own_name_can_be_given_anew():
    envs.register("mine", chain)
    envs.register("mine", ring)
    assert envs.make("mine").max_steps == 3


@pytest.mark.parametrize(
    ("name", "constructor", "message"),
    [
        ("ring", chain, "the name 'ring' is taken by a world of jaxrl: choose another, such as 'my_ring'"),
        ("cartpole", chain, "the name 'cartpole' is taken by a world of jaxrl: choose another, such as 'my_cartpole'"),
        ("My World", chain, "the name of a world is 'My World': expected small letters, digits and _, such as "),
        (7, chain, "the name of a world is 7: expected small letters, digits and _, such as 'my_world'"),
        ("mine", ring(), "mine is registered as a Environment: expected a function that makes one"),
    ],
)
def test_a_name_that_is_taken_or_no_name_is_refused(name, constructor, message):
    before = envs.names()
    with pytest.raises(UsageError) as error:
        envs.register(name, constructor)
    assert str(error.value).startswith(message) and "\n" not in str(error.value) and envs.names() == before
