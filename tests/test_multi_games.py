"""Board games over their whole tree or thousands of positions, matrix games by their tables, the riddle's best play."""

import collections
import functools
import itertools
from typing import Any, NamedTuple

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from multi_rules import KEY, stacked, stepped

from jaxrl import envs
from jaxrl.envs.multi import switch_riddle
from jaxrl.envs.multi.boards import State as BoardState
from jaxrl.envs.multi.matrix_games import matrix_game
from jaxrl.errors import UsageError
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

# --- board games: boards are tuples of rows of 0 (first), 1 (second) and None, row 0 at the top ---------------------

Board = tuple[tuple[int | None, ...], ...]


def line_through(board: Board, row: int, column: int, length: int) -> set[str]:
    """The directions in which the stone at (row, column) is part of `length` or more in a row."""
    found, height, width = set(), len(board), len(board[0])
    for name, (down, right) in {"level": (0, 1), "upright": (1, 0), "falling": (1, 1), "rising": (-1, 1)}.items():
        count = 1
        for sign in (1, -1):
            r, c = row + sign * down, column + sign * right
            while 0 <= r < height and 0 <= c < width and board[r][c] == board[row][column]:
                count, r, c = count + 1, r + sign * down, c + sign * right
        if count >= length:
            found.add(name)
    return found


def put(board: Board, row: int, column: int, player: int | None) -> Board:
    cells = [list(line) for line in board]
    cells[row][column] = player
    return tuple(tuple(line) for line in cells)


def full(board: Board) -> bool:
    return all(cell is not None for line in board for cell in line)


def turn_of(board: Board) -> int:
    return sum(cell is not None for line in board for cell in line) % 2


def views(board: Board, turn: int) -> np.ndarray:
    """What both players see: [2, H, W, 3]."""
    mine = np.array([[[cell == player for cell in line] for line in board] for player in range(2)])
    return np.stack([mine, mine[::-1], np.broadcast_to(np.arange(2)[:, None, None] == turn, mine.shape)], -1)


class Expected(NamedTuple):
    """What a move should lead to: the board and whose turn is next; how the game ended, for whom."""

    board: Board
    turn: int
    ended: str  # "", "won", "drawn" or "illegal"

    def result(self) -> Any:
        """(outcome, terminated [2], reward [2], what both see [2, H, W, 3])."""
        mover = 1 - self.turn
        outcome = {"": 0, "won": 1 + mover, "illegal": 2 - mover, "drawn": 3}[self.ended]
        gain = {"": 0.0, "won": 1.0, "illegal": -1.0, "drawn": 0.0}[self.ended]
        reward = [gain, -gain] if mover == 0 else [-gain, gain]
        return outcome, [bool(self.ended)] * 2, reward, views(self.board, self.turn)


def check_moves(after: Any, expected: list[Expected]) -> collections.Counter:
    """Every result is the expected one; how often each ending came."""
    state, obs, reward, terminated = after
    wanted = [np.array(column) for column in zip(*(each.result() for each in expected), strict=True)]
    for ours, theirs in zip((state.outcome, terminated, reward, obs), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return collections.Counter(each.ended for each in expected)


@functools.cache
def tic_tac_toe_tree() -> dict[Board, bool]:
    """All reachable positions: whether the game is over in them."""
    start: Board = ((None,) * 3,) * 3
    found, queue = {start: False}, [start]
    while queue:
        board = queue.pop()
        for row, column in itertools.product(range(3), repeat=2):
            if board[row][column] is None:
                after = put(board, row, column, turn_of(board))
                if after not in found:
                    found[after] = bool(line_through(after, row, column, 3)) or full(after)
                    queue += [] if found[after] else [after]
    return found


def tree_moves(tree: dict[Board, bool]) -> list[Any]:
    """All legal (position, cell)."""
    return [(b, c) for b, over in tree.items() if not over for line in b for c in line if c is None]


def words(board: Board, upright: bool) -> np.ndarray:
    """The stones as bits: of one word, row by row, or of one word per column, from the ground up."""
    lines = [line[::-1] for line in zip(*board, strict=True)] if upright else [sum(board, ())]
    return np.array(
        [[sum((cell == p) << k for k, cell in enumerate(line)) for line in lines] for p in range(2)], np.int32
    )


def make_tic_tac_toe() -> Environment:
    return envs.make("tic_tac_toe")


def make_connect_four() -> Environment:
    return envs.make("connect_four")


def test_tic_tac_toe_over_its_whole_tree() -> None:
    """5478 positions, and every move in each of the 4520 in which the game goes on, illegal ones included."""
    tree = tic_tac_toe_tree()
    running = [board for board, over in tree.items() if not over]
    assert (len(tree), len(running)) == (5478, 4520)
    cases = [(board, move) for board in running for move in range(10)]
    states = stacked(BoardState, [(words(b, False), np.int32(turn_of(b)), np.int32(0)) for b, _ in cases])
    actions = [[move, 9] if turn_of(board) == 0 else [9, move] for board, move in cases]
    after = stepped(make_tic_tac_toe, states, np.array(actions))
    legal = np.asarray(jax.jit(jax.vmap(make_tic_tac_toe().legal_actions, (0, None)))(states, ()))
    expected: list[Expected] = []
    reached, last = {running[0]}, [False] * 9 + [True]
    for i, (board, move) in enumerate(cases):
        turn = turn_of(board)
        allowed = [cell is None for line in board for cell in line] + [False]
        assert legal[i, turn].tolist() == allowed and legal[i, 1 - turn].tolist() == last
        if not allowed[move]:
            expected.append(Expected(board, 1 - turn, "illegal"))
            continue
        moved = put(board, move // 3, move % 3, turn)
        won = bool(line_through(moved, move // 3, move % 3, 3))
        expected.append(Expected(moved, 1 - turn, "won" if won else "drawn" if full(moved) else ""))
        reached.add(tuple(tuple(0 if a else 1 if b else None for a, b, _ in line) for line in after[1][i, 0].tolist()))
    events = check_moves(after, expected)
    assert reached == set(tree)
    assert events["drawn"] >= 16 and events["won"] >= 942 and events["illegal"] == len(cases) - len(tree_moves(tree))
    ends = collections.Counter()
    for board, over in tree.items():
        if over:
            three = [
                any(line_through(board, r, c, 3) and board[r][c] == p for r in range(3) for c in range(3))
                for p in range(2)
            ]
            ends["first" if three[0] else "second" if three[1] else "drawn"] += 1
    assert ends == {"first": 626, "second": 316, "drawn": 16}


def connect_four_positions(generator: np.random.Generator, games: int) -> list[Board]:
    """Positions in which the game goes on, of random games; in every third, wins are avoided for long."""
    positions = []
    for game in range(games):
        board: Board = ((None,) * 7,) * 6
        while True:
            positions.append(board)
            moves = [(column, drop(board, column)) for column in range(7) if board[0][column] is None]
            after = [(b, line_through(b, r, column, 4)) for column, (b, r) in moves]
            quiet = [b for b, lines in after if not lines and not full(b)]
            board, lines = after[generator.integers(len(after))]
            if (lines or full(board)) and not (game % 3 == 0 and quiet):
                break
            board = quiet[generator.integers(len(quiet))] if lines or full(board) else board
    return positions


def nearly_drawn() -> list[Board]:
    """Full boards without four in a row, less the one stone at the top that player 1 puts last."""
    boards = []
    for shift, column in itertools.product(range(2), range(7)):
        board = tuple(tuple((5 - row + c // 2 + shift) % 2 for c in range(7)) for row in range(6))
        if board[0][column] == 1:
            boards.append(put(board, 0, column, None))
    return boards


def drop(board: Board, column: int) -> tuple[Board, int]:
    row = max(r for r in range(6) if board[r][column] is None)
    return put(board, row, column, turn_of(board)), row


def test_connect_four_against_a_plain_referee() -> None:
    generator = np.random.default_rng(4)
    positions = connect_four_positions(generator, 75) + nearly_drawn()
    assert len(set(positions)) >= 1000
    cases = [(board, move) for board in positions for move in range(8)]
    states = stacked(BoardState, [(words(b, True), np.int32(turn_of(b)), np.int32(0)) for b, _ in cases])
    actions = [[move, 7] if turn_of(board) == 0 else [7, move] for board, move in cases]
    after = stepped(make_connect_four, states, np.array(actions))
    legal = np.asarray(jax.jit(jax.vmap(make_connect_four().legal_actions, (0, None)))(states, ()))
    events: collections.Counter = collections.Counter()
    expected: list[Expected] = []
    for i, (board, move) in enumerate(cases):
        turn = turn_of(board)
        allowed = [cell is None for cell in board[0]] + [False]
        assert legal[i, turn].tolist() == allowed and legal[i, 1 - turn].tolist() == [False] * 7 + [True]
        if not allowed[move]:
            expected.append(Expected(board, 1 - turn, "illegal"))
            events["full column"] += move < 7
            continue
        moved, row = drop(board, move)
        lines = line_through(moved, row, move, 4)
        for line in lines:
            events[line] += 1
        expected.append(Expected(moved, 1 - turn, "won" if lines else "drawn" if full(moved) else ""))
    events += check_moves(after, expected)
    named = ("level", "upright", "rising", "falling", "illegal", "full column", "won", "")
    assert all(events[event] >= 50 for event in named) and events["drawn"] >= 7, events


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_a_board_game_among_rows(name: str) -> None:
    """Random legal play: rewards sum to zero, both end together, after the end only waiting is legal."""
    venv = vectorize(envs.make(name), 64)
    step, (state, timestep) = contracts.quick(venv.step), contracts.quick(venv.reset)(KEY, ())
    counts: collections.Counter = collections.Counter()
    for key in jax.random.split(KEY, 60):
        act_key, step_key = jax.random.split(key)
        legal = np.asarray(timestep.obs.legal)
        assert (legal[..., -1].sum(1) == 1).all()
        action = jax.random.categorical(act_key, jnp.where(timestep.obs.legal, 0.0, -jnp.inf))
        state, timestep = step(step_key, state, action, ())
        ended, reward = np.asarray(timestep.terminated), np.asarray(timestep.reward)
        assert (ended[:, 0] == ended[:, 1]).all() and not np.asarray(timestep.truncated).any()
        assert (reward.sum(1) == 0).all() and not reward[~ended].any()
        final = np.asarray(timestep.final_obs.legal)[ended[:, 0]]
        assert final[..., -1].all() and not final[..., :-1].any()
        info = {name: np.asarray(timestep.info[name])[ended[:, 0]] for name in ("first_won", "second_won", "drawn")}
        assert (sum(info.values()) == 1).all()
        np.testing.assert_array_equal(info["first_won"] - info["second_won"], reward[ended[:, 0], 0])
        counts.update({name: int(value.sum()) for name, value in info.items()})
    assert counts["first_won"] > counts["second_won"] > 10
    assert name == "connect_four" or counts["drawn"] > 10


# --- matrix games --------------------------------------------------------------------------------------------------

CLIMBING = [[11, -30, 0], [-30, 7, 0], [0, 6, 5]]
ONE_SHOT = [
    (
        "climbing_game",
        {},
        {(0, 0): (11, 11), (0, 1): (-30, -30), (1, 1): (7, 7), (2, 1): (6, 6), (1, 2): (0, 0), (2, 2): (5, 5)},
    ),
    (
        "penalty_game",
        {"k": -50.0},
        {(0, 0): (-50, -50), (0, 2): (10, 10), (2, 0): (10, 10), (1, 1): (2, 2), (2, 2): (-50, -50), (0, 1): (0, 0)},
    ),
    ("prisoners_dilemma", {}, {(0, 0): (-1, -1), (0, 1): (-3, 0), (1, 0): (0, -3), (1, 1): (-2, -2)}),
    ("matching_pennies", {}, {(0, 0): (1, -1), (0, 1): (-1, 1), (1, 0): (-1, 1), (1, 1): (1, -1)}),
    ("rock_paper_scissors", {}, {(0, 2): (1, -1), (1, 0): (1, -1), (2, 1): (1, -1), (0, 1): (-1, 1), (1, 1): (0, 0)}),
    (
        "rock_paper_scissors",
        {"payoffs": (1.0, 2.0, 4.0)},
        {(0, 2): (1, -1), (1, 0): (2, -2), (2, 1): (4, -4), (0, 1): (-2, 2)},
    ),
]


def play(env: Environment, *joint_actions: tuple[int, ...]) -> list[Any]:
    """[(observation, reward, terminated, measures)] of these joint actions in a row."""
    state, obs = env.reset(KEY, env.params)
    step, taken = contracts.quick(env.step), [(np.asarray(obs), None, None, None)]
    for action in joint_actions:
        state, obs, reward, terminated = step(KEY, state, jnp.array(action), env.params)
        taken.append((np.asarray(obs), reward.tolist(), terminated.tolist(), env.measure(state, env.params)))
    return taken


@pytest.mark.parametrize(("name", "options", "payoffs"), ONE_SHOT)
def test_matrix_games_pay_what_they_should(name: str, options: dict, payoffs: dict) -> None:
    env = envs.make(name, **options, rounds=len(payoffs))
    taken = play(env, *payoffs)
    assert not taken[0][0].any()
    for i, (joint, expected) in enumerate(payoffs.items(), 1):
        obs, reward, terminated, measures = taken[i]
        assert tuple(reward) == expected and terminated == [i == len(payoffs)] * 2
        assert float(measures["joint_payoff"]) == sum(expected)
        one_hot = np.eye(env.action_space.n)
        np.testing.assert_array_equal(obs, [np.concatenate(one_hot[list(order)]) for order in (joint, joint[::-1])])


def test_the_equilibrium_of_biased_rock_paper_scissors() -> None:
    """Against the mixture that the game names, every action earns nothing; against the plain one, not so."""
    rock, paper, scissors = 1.0, 2.0, 4.0
    env = envs.make("rock_paper_scissors", payoffs=(rock, paper, scissors))
    table = np.array([[play(env, (a, b))[1][1][0] for b in range(3)] for a in range(3)])
    mixture = np.array([scissors, rock, paper]) / (rock + paper + scissors)
    np.testing.assert_allclose(table @ mixture, 0, atol=1e-6)
    assert abs(table @ np.ones(3)).max() > 1


def test_a_game_of_three_players_with_different_numbers_of_actions() -> None:
    payoffs = np.random.default_rng(5).normal(size=(3, 2, 4, 3)).astype(np.float32)
    env = matrix_game(payoffs, rounds=24)
    joint = list(itertools.product(range(2), range(4), range(3)))
    for action, (obs, reward, _, _) in zip(joint, play(env, *joint)[1:], strict=True):
        np.testing.assert_array_equal(reward, payoffs[(slice(None), *action)])
        turned = [action[i:] + action[:i] for i in range(3)]
        np.testing.assert_array_equal(obs, [np.eye(4)[list(order)].ravel() for order in turned])
    legal = env.legal_actions(env.reset(KEY, ())[0], ())
    assert legal.sum(1).tolist() == [2, 4, 3] and bool(legal[0, :2].all()) and bool(legal[2, :3].all())
    for wrong in ([[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, 4.0]], np.zeros((3, 2, 2))):
        with pytest.raises(UsageError, match="expected"):
            matrix_game(wrong)


def test_two_step_game_is_worth_eight() -> None:
    """All joint plans of both players: the best earns 8, the best that opens with 7 for sure earns 7."""
    env, returns = envs.make("two_step_game"), {}
    for first, second in itertools.product(itertools.product(range(2), repeat=2), repeat=2):
        (start, *_), (middle, zero, going, _), (_, reward, ended, measures) = play(env, first, second)
        assert np.argmax(start, 1).tolist() == [0, 0] and np.argmax(middle, 1).tolist() == [1 + first[0]] * 2
        assert (zero, going, ended, reward[0]) == ([0, 0], [False] * 2, [True] * 2, reward[1])
        assert float(measures["joint_payoff"]) == sum(reward)
        returns[first, second] = reward[0]
    assert {pay for (first, _), pay in returns.items() if first[0] == 0} == {7.0}
    assert {second: pay for (first, second), pay in returns.items() if first[0] == 1} == {
        (0, 0): 0,
        (0, 1): 1,
        (1, 0): 1,
        (1, 1): 8,
    }


# --- the switch riddle ---------------------------------------------------------------------------------------------

NONE, TELL, ON, OFF = range(4)
VISITS = np.array(list(itertools.product(range(3), repeat=6)))  # who is in the room on each of the six days: 3 ** 6


def riddle(protocol: dict[Any, int]) -> np.ndarray:
    """Plain Python: the reward of each sequence of visits; protocol: {(day 1?, been before?, switch): action}."""
    rewards = []
    for visits in VISITS:
        lit, been, reward = False, set(), 0.0
        for day, prisoner in enumerate(visits):
            action = protocol[day == 0, prisoner in been, lit]
            been.add(prisoner)
            if action == TELL:
                reward = 1.0 if len(been) == 3 else -1.0
                break
            lit = action == ON or (lit and action != OFF)
        rewards.append(reward)
    return np.array(rewards)


@functools.cache
def best_protocol() -> tuple[dict[Any, int], float]:
    """By brute force over all deterministic protocols of a day-1 flag, a memory of having been there and the switch."""
    moments = [(True, False, False), *itertools.product([False], [False, True], [False, True])]
    plans = np.array(list(itertools.product(range(4), repeat=len(moments))))  # [1024, 5]
    lit, done = np.zeros((len(plans), len(VISITS)), bool), np.zeros((len(plans), len(VISITS)), bool)
    reward = np.zeros(done.shape)
    for day in range(6):
        before = [set(visits[:day]) for visits in VISITS.tolist()]
        been = np.array([visits[day] in earlier for visits, earlier in zip(VISITS.tolist(), before, strict=True)])
        everyone = np.array([len(set(visits[: day + 1])) == 3 for visits in VISITS.tolist()])
        moment = np.zeros(lit.shape, int) if day == 0 else 1 + 2 * been + lit
        action = np.take_along_axis(plans, moment, axis=1)
        reward = np.where((action == TELL) & ~done, np.where(everyone, 1.0, -1.0), reward)
        lit, done = (action == ON) | (lit & (action != OFF)), done | (action == TELL)
    best = int(reward.mean(1).argmax())
    return dict(zip(moments, plans[best].tolist(), strict=True)), float(reward[best].mean())


def test_the_riddle_has_a_protocol_as_good_as_seeing_all() -> None:
    """Its best protocol wins exactly when all three have come by in six days: 540 of 729, as the world says too."""
    protocol, value = best_protocol()
    came = np.array([len(set(visits)) == 3 for visits in VISITS.tolist()])
    assert value == pytest.approx(540 / 729) and came.sum() == 540
    np.testing.assert_array_equal(riddle(protocol), came.astype(float))
    env = envs.make("switch_riddle")
    state, obs = jax.vmap(env.reset, (0, None))(jax.random.split(KEY, len(VISITS)), ())
    table = np.zeros((2, 2, 2), int)
    for moment, action in protocol.items():
        table[tuple(map(int, moment))] = action
    memory, total, over = np.zeros((729, 3), bool), np.zeros(729), np.zeros(729, bool)
    step = contracts.quick(jax.vmap(env.step, (0, 0, 0, None)))
    for day in range(6):
        room = VISITS[:, day]  # the visits are prescribed; what the prisoners see and do is the world's
        rooms = np.arange(3) == room[:, None]
        state = state._replace(room=jnp.asarray(room, jnp.int32), been=jnp.asarray(memory | rooms))
        lit = np.asarray(state.switch)
        action = np.where(
            rooms, table[int(day == 0), memory[np.arange(729), room].astype(int), lit.astype(int)][:, None], NONE
        )
        memory = memory | rooms
        state, obs, reward, terminated = step(jax.random.split(KEY, 729), state, jnp.asarray(action, jnp.int32), ())
        total += np.where(over, 0.0, np.asarray(reward)[:, 0])
        assert (np.asarray(reward) == np.asarray(reward)[:, :1]).all()
        over |= np.asarray(terminated)[:, 0]
    assert over.all()
    np.testing.assert_array_equal(total, came.astype(float))


@pytest.mark.parametrize("switch", [True, False])
def test_the_riddle_keeps_its_rules(switch: bool) -> None:
    """All states of n = 4, all actions of the one in the room, the others doing none or anything."""
    make = functools.partial(envs.make, "switch_riddle", num_agents=4, switch=switch)
    env, days, num_actions = make(), 10, 4 if switch else 2
    generator, cases = np.random.default_rng(6), []
    for room, lit, been, day in itertools.product(range(4), range(2), range(16), (0, 4, 8, 9)):
        if been >> room & 1:
            cases += [
                (room, bool(lit), [bool(been >> i & 1) for i in range(4)], day, act) for act in range(num_actions)
            ]
    rows = [(np.int32(c[0]), np.bool_(c[1]), np.array(c[2]), np.int32(c[3]), np.bool_(False)) for c in cases]
    states, actions = stacked(switch_riddle.State, rows), generator.integers(num_actions, size=(len(cases), 4))
    actions[np.arange(len(cases)), [c[0] for c in cases]] = [c[4] for c in cases]
    after, obs, reward, terminated = stepped(make, states, actions)
    legal = np.asarray(jax.jit(jax.vmap(env.legal_actions, (0, None)))(states, ()))
    assert len(cases) >= 1000 or not switch
    for i, (room, lit, been, day, act) in enumerate(cases):
        only_none = [True] + [False] * (num_actions - 1)
        assert legal[i].tolist() == [[True] * num_actions if agent == room else only_none for agent in range(4)]
        assert reward[i].tolist() == [0.0 if act != TELL else 1.0 if all(been) else -1.0] * 4
        assert terminated[i].tolist() == [act == TELL or day + 1 == days] * 4
        now_lit, now_in = act == ON or (lit and act != OFF), int(after.room[i])
        assert bool(after.switch[i]) == now_lit and after.day[i] == day + 1
        assert after.been[i].tolist() == [old or agent == now_in for agent, old in enumerate(been)]
        here = [float(agent == now_in) for agent in range(4)]
        seen = [[inside, inside * now_lit] if switch else [inside] for inside in here]
        assert obs.features[i].tolist() == seen
        world = [*here, float(now_lit), *map(float, after.been[i]), (day + 1) / days]
        np.testing.assert_allclose(obs.state[i], [world] * 4, rtol=1e-6)
    drawn = np.bincount(after.room[~terminated[:, 0]], minlength=4)
    assert (drawn > 0.15 * drawn.sum()).all()
