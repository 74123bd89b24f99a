"""The policy at run time: it remembers, it forgets on reset, and it refuses what it cannot use."""

import dataclasses

import numpy as np
import pytest
import torch
from training_data import SPEC, make_checkpoint, tiny

from df_policy.config import SamplerConfig
from df_policy.costs import KeepOutBox
from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.guidance import price
from df_policy.policy import Policy
from df_policy.presets import PRESETS


def observe(seed=0, stamp_ns=0):
    rng = np.random.default_rng(seed)
    images = {c: rng.integers(0, 255, (*s, 3), dtype=np.uint8) for c, s in SPEC.cameras.items()}
    pose = Pose.of(rng.uniform(0.3, 0.5, 3), [1, 0, 0, 0])
    stamps = dict.fromkeys(images, stamp_ns)
    return Observation(stamp_ns, images, stamps, np.zeros(1), np.zeros(1), pose, 0.08)


def make(name="fruit_swap", **sampler):
    torch.manual_seed(0)
    trained = make_checkpoint(config=tiny(name))
    for parameter in trained.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Policy(trained, dataclasses.replace(trained.config.sampler, **sampler))


@pytest.fixture
def policy():
    return make()


def play(policy, seeds, reset=3):
    """Plan after each observation; the one before it has the seed times ten."""
    policy.reset(reset)
    executed, plans = [], []
    for seed in seeds:
        seen = dataclasses.replace(observe(seed), before=observe(10 * seed) if executed else None)
        plan = policy.plan(seen, executed)
        executed = [plan.action(i) for i in range(policy.every)]
        plans.append(plan.actions)
    return plans


def test_a_plan_starts_at_its_observation_and_covers_the_horizon(policy):
    policy.reset(0)
    plan = policy.plan(observe(stamp_ns=700), [])
    assert plan.start_ns == plan.observed_ns == 700
    assert plan.actions.shape == (policy.horizon * policy.chunk, 10)
    assert plan.period_ns == 100_000_000
    assert np.isfinite(plan.actions).all()


def test_a_seed_and_a_history_decide_the_plan(policy):
    assert np.array_equal(play(policy, [1, 2, 3])[-1], play(policy, [1, 2, 3])[-1])
    assert not np.array_equal(play(policy, [1, 2, 3])[-1], play(policy, [1, 2, 3], reset=4)[-1])


@pytest.mark.parametrize("name", PRESETS)
def test_what_was_seen_first_changes_what_is_planned_last_if_there_is_a_memory(name):
    policy = make(name)
    memoryless = policy.config.network.memory == "last_observation"
    same = np.array_equal(play(policy, [1, 2, 3])[-1], play(policy, [9, 2, 3])[-1])
    assert same is memoryless


@pytest.mark.parametrize("name", PRESETS)
def test_what_was_seen_an_action_before_matters_to_a_policy_of_two_frames_alone(name):
    policy = make(name)

    def plan(before):
        policy.reset(0)
        executed = [observe().hold()] * policy.every
        policy.plan(observe(1), [])
        return policy.plan(dataclasses.replace(observe(2), before=before), executed).actions

    matters = not np.array_equal(plan(observe(3)), plan(observe(4)))
    assert matters is (policy.config.token.frames == 2)
    if matters:
        with pytest.raises(DfPolicyError, match="what was seen one action before"):
            plan(None)
    else:
        assert np.array_equal(plan(None), plan(observe(3)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_decision_costs_the_same_memory_at_any_time(name):
    """From the time on when a window of tokens is full, which is all that one may keep."""
    policy = make(name, every=8)
    window = policy.config.token.window
    sizes = []
    plan, policy.plan = policy.plan, lambda *given: sizes.append(held(policy)) or plan(*given)
    play(policy, range(1, 2 * window))
    for memory in policy._memories:
        assert memory._z.shape == policy._denoiser.initial(1).shape
        assert len(memory._newest) in (0, window)
    assert len(set(sizes[window:])) == 1


def held(policy):
    """How many numbers a policy keeps of an episode."""
    kept = [token for memory in policy._memories for token in memory._newest]
    tensors = [memory._z for memory in policy._memories]
    tensors += [number for token in kept for number in (token.x, token.level)]
    return sum(tensor.numel() for tensor in tensors), len(policy._sent)


def paused(name, *seen):
    """The memory after two moves, a pause in which this was seen token by token, and a third."""
    policy = make(name, every=8)
    policy.reset(0)
    moves = [[observe(10 * n + k).hold() for k in range(8)] for n in range(3)]
    held = [moves[1][-1]] * 8
    policy.plan(see(1), [])
    for seed, executed in [(2, moves[0]), (3, moves[1]), *((end, held) for end in seen)]:
        policy.plan(see(seed), executed)
    policy.plan(see(4), moves[2])
    return policy._memories[0]


@pytest.mark.parametrize("name", PRESETS)
def test_to_the_memory_a_pause_of_any_length_is_one_of_a_token(name):
    one, long = paused(name, 7), paused(name, *[7] * 6)
    torch.testing.assert_close(one._z, long._z)
    assert len(one._newest) == len(long._newest)


REMEMBER = [name for name, p in PRESETS.items() if p.network.memory != "last_observation"]


@pytest.mark.parametrize("name", REMEMBER)
def test_what_happens_in_a_pause_is_remembered(name):
    told = [memory.known(8)[1] for memory in (paused(name, 7, 7), paused(name, 7, 50, 7))]
    if all(isinstance(z, torch.Tensor) for z in told):
        assert not torch.equal(*told)


def see(seed):
    """An observation, with another one before it."""
    return dataclasses.replace(observe(seed), before=observe(10 * seed))


@pytest.mark.parametrize("every", [1, 2, 4])
def test_each_memory_reads_what_a_policy_that_plans_once_a_chunk_would_read(every):
    """One that begins in another place of the chunk, whose robot has stood still before."""
    often, seldom = make(every=every), make(every=8)
    rng = np.random.default_rng(0)
    calls, still = 30, [observe(0).hold()] * 8
    sent = [observe(int(seed)).hold() for seed in rng.integers(99, size=calls * every)]
    often.reset(0)
    for call in range(calls):
        done = sent[: call * every]
        often.plan(observe(call), done[-every:] if call else [])
    for place, memory in enumerate(often._memories):
        seldom.reset(0)
        for call in range(place, calls, 8 // every):
            leading = [*still, *sent[: call * every]][-8:]
            if call == place:  # its first token tells of the actions since the start
                seldom._calls = 1
            seldom.plan(observe(call), leading)
        torch.testing.assert_close(memory._z, seldom._memories[0]._z)


@pytest.mark.parametrize("count", [1, 3, 8, 11])
@pytest.mark.parametrize("name", ["fruit_swap", "fruit_swap_attention_noncausal"])
def test_a_plan_begins_with_what_is_decided_already_and_is_made_to_go_with_it(name, count):
    policy = make(name, horizon=1 if count == 1 else 2)

    def plan(committed):
        policy.reset(0)
        return policy.plan(observe(1), [], committed).actions

    some, other = ([observe(20 * n + k).hold() for k in range(count)] for n in (1, 2))
    rows = np.stack([action.row() for action in some])
    np.testing.assert_allclose(plan(some)[:count], rows, atol=1e-6)
    assert not np.array_equal(plan(some)[count:], plan(other)[count:])


@pytest.mark.parametrize(("matrix", "later"), [("rolling", 2), ("warm", 3)])
def test_a_plan_that_is_carried_over_costs_fewer_denoisings_from_the_second_on(matrix, later):
    policy = make(matrix=matrix, every=8)
    calls = []
    predict = policy._denoiser.predict
    policy._denoiser.predict = lambda *args: calls.append(0) or predict(*args)
    plans = play(policy, [1, 2, 3])
    assert [plan.shape for plan in plans] == [(8, 10)] * 3
    assert len(calls) == 4 + 2 * later
    assert np.array_equal(play(policy, [1, 2, 3])[-1], plans[-1])


@pytest.mark.parametrize("matrix", ["rolling", "warm"])
def test_over_a_token_that_is_only_remembered_no_plan_is_carried(matrix):
    policy = make(matrix=matrix, every=8)
    first = policy.plan(observe(1), [])
    moved = [first.action(n) for n in range(8)]
    policy.remember(observe(2), moved)
    calls, predict = [], policy._denoiser.predict
    policy._denoiser.predict = lambda *args: calls.append(0) or predict(*args)
    policy.plan(observe(3), moved)
    assert len(calls) == 4


def test_costs_bend_plans_and_none_changes_nothing():
    policy = make()

    def plan(costs):
        policy.reset(0)
        policy.costs = costs
        return policy.plan(observe(1), [], [observe(2).hold()]).actions

    free = plan(())
    zone = KeepOutBox(tuple(free[8, :3]), (0.01, 0.01, 0.01))
    bent = plan((zone,))

    def cost(actions):
        return float(price(zone, torch.from_numpy(actions)[None], 0.1))

    assert cost(bent) < 0.1 * cost(free)
    np.testing.assert_allclose(bent[0], observe(2).hold().row(), atol=1e-6)
    far = KeepOutBox((9.0, 9.0, 9.0), (0.01, 0.01, 0.01))
    assert np.array_equal(plan(()), free)
    # With a cost that complains of nothing the better half is the first half.
    assert cost(plan((far,))) <= cost(free) + 1.0


def test_of_more_decided_actions_than_a_plan_has_the_first_are_all_there_is():
    policy = make()
    many = [observe(k).hold() for k in range(40)]
    np.testing.assert_allclose(
        policy.plan(observe(1), [], many).actions,
        np.stack([action.row() for action in many[: policy.horizon * policy.chunk]]),
        atol=1e-6,
    )


def test_a_stored_sampler_can_be_replaced():
    policy = Policy(make_checkpoint(), SamplerConfig(horizon=5, steps=3, matrix="full_sequence"))
    assert policy.plan(observe(), []).actions.shape == (5 * policy.chunk, 10)


def trusting(**sampler):
    """A policy that learnt to doubt, and to which no image is strange."""
    config = dataclasses.replace(
        PRESETS["tiny"], network=dataclasses.replace(PRESETS["tiny"].network, levels_for="camera")
    )
    trained = make_checkpoint(config=config)
    for parameter in trained.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    about = {
        "unexplained": dict.fromkeys(SPEC.cameras, 10.0),
        "uncertainty": dict.fromkeys(SPEC.cameras, 0.5),
    }
    return Policy(dataclasses.replace(trained, about=about), SamplerConfig(**sampler))


def test_what_is_believed_is_remembered_as_if_there_were_no_doubt():
    plain, doubting = trusting(), trusting(trust="by_plausibility")
    assert np.array_equal(play(plain, [1, 2, 3])[-1], play(doubting, [1, 2, 3])[-1])


def test_an_old_image_changes_nothing_and_is_said_to_be_ignored():
    policy = trusting(trust="by_plausibility")
    plans = []
    for image_seed in (5, 6):
        play(policy, [1])
        seen, other = observe(2, stamp_ns=10**9), observe(image_seed)
        stale = dataclasses.replace(
            seen,
            images={**seen.images, "front": other.images["front"]},
            image_stamps_ns={**seen.image_stamps_ns, "front": 0},
        )
        plans.append(policy.plan(stale, [seen.hold()] * policy.every))
    assert np.array_equal(plans[0].actions, plans[1].actions)
    assert plans[0].trust == {"front": 0.0, "wrist": 1.0}


@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_a_checkpoint_that_never_learnt_to_doubt_is_refused(doubt):
    """Whatever is usual: a memory must have met the levels that it is told."""
    diffusion = dataclasses.replace(PRESETS["tiny"].diffusion, doubt=doubt)
    trained = make_checkpoint(config=dataclasses.replace(PRESETS["tiny"], diffusion=diffusion))
    about = {"unexplained": dict.fromkeys(SPEC.cameras, 1.0)} if doubt == 0.0 else {}
    trained = dataclasses.replace(trained, about=about)
    with pytest.raises(DfPolicyError, match="not plausible"):
        Policy(trained, SamplerConfig(trust="by_plausibility"))


def test_a_camera_that_is_not_believed_is_what_was_imagined_in_its_place():
    """At the level of its uncertainty, which grows until the camera is believed again."""
    policy = trusting(trust="by_plausibility", every=8)
    remembered = []
    update = policy._denoiser.update

    def watch(z, x, level):
        remembered.append((x, level))
        return update(z, x, level)

    policy._denoiser.update = watch
    policy.reset(0)
    executed = []
    for call, old in enumerate([False, True, True, False, True]):
        foreseen = policy._memories[0].foreseen
        seen = observe(call, stamp_ns=10**9)
        if old:
            seen = dataclasses.replace(seen, image_stamps_ns={"front": 0, "wrist": 10**9})
        remembered.clear()
        policy.plan(seen, executed)
        executed = [seen.hold()] * 8
        x, level = remembered[0]
        rest, front, wrist = level.tolist() * 3 if level.dim() == 1 else level[0].tolist()
        assert (front > 0) == old
        assert rest == wrist == 0
        if call == 1:
            first, part = front, policy._codec.camera("front")
            signal = policy._schedule.signal(first)
            error = x[0, part] - signal * foreseen[0, part]
            assert float(error.abs().max()) < 4 * (1 - signal**2) ** 0.5
        if call == 2:
            assert front > first
        if call == 4:
            assert front == first


def test_imagining_ahead_changes_nothing_and_is_drawn_by_its_seed():
    plain, asked = make(), make()
    want = play(plain, [1, 2, 3])
    asked.reset(3)
    executed = []
    for seed, rows in zip([1, 2, 3], want, strict=True):
        seen = dataclasses.replace(observe(seed), before=observe(10 * seed) if executed else None)
        plan = asked.plan(seen, executed)
        assert np.array_equal(plan.actions, rows)
        executed = [plan.action(i) for i in range(asked.every)]
        ahead, again, other = (asked.imagine(5, seed, level=20) for seed in (0, 0, 1))
        assert ahead["front"].shape == (1, 5, asked.config.encoder.latent)
        assert np.array_equal(ahead["wrist"], again["wrist"])
        assert not np.array_equal(ahead["wrist"], other["wrist"])


def test_a_plan_tells_what_it_foresees_for_when(policy):
    policy.reset(0)
    plan = policy.plan(observe(stamp_ns=700), [])
    assert plan.foreseen_ns == (700 + 800_000_000, 700 + 1_600_000_000)
    pictures = policy.pictures(plan)
    shapes = {name: images.shape for name, images in pictures.items()}
    assert shapes == dict.fromkeys(SPEC.cameras, (2, 8, 8, 3))


def test_a_policy_without_decoders_plans_and_says_that_it_cannot_imagine():
    policy = Policy(dataclasses.replace(make_checkpoint(), imagination=None))
    plan = policy.plan(observe(), [])
    with pytest.raises(DfPolicyError, match="cannot imagine"):
        policy.pictures(plan)


def test_only_the_newest_tokens_count_when_the_whole_past_has_no_weight():
    policy = trusting(every=8, histories=(2,), history_weights=(0.0, 1.0))

    def last(seeds):
        policy.reset(0)
        moved = [observe(k).hold() for k in range(8)]
        plans = [policy.plan(observe(s), moved if n else []) for n, s in enumerate(seeds)]
        return plans[-1].actions

    assert np.array_equal(last([1, 2, 3]), last([9, 2, 3]))
    assert not np.array_equal(last([1, 2, 3]), last([1, 9, 3]))


def test_what_it_cannot_use_is_refused(policy):
    seen = observe()
    without = {"front": seen.images["front"]}
    with pytest.raises(DfPolicyError, match="camera 'wrist' is missing"):
        policy.plan(dataclasses.replace(seen, images=without), [])
    small = {**seen.images, "wrist": np.zeros((8, 8, 3), np.uint8)}
    with pytest.raises(DfPolicyError, match="expected an image"):
        policy.plan(dataclasses.replace(seen, images=small), [])
    with pytest.raises(DfPolicyError, match="expected the 2 actions"):
        policy.plan(seen, [seen.hold()] * 3)
    lost = dataclasses.replace(seen, tool=Pose(np.full(3, np.nan), seen.tool.quat_xyzw))
    with pytest.raises(DfPolicyError, match="finite"):
        policy.plan(lost, [])


def test_a_refused_observation_leaves_the_memory_as_it_was(policy):
    want = play(policy, [1, 2])[-1]
    policy.reset(3)
    plan = policy.plan(observe(1), [])
    executed = [plan.action(i) for i in range(policy.every)]
    with pytest.raises(DfPolicyError):
        policy.plan(dataclasses.replace(observe(2), images={}), executed)
    assert np.array_equal(policy.plan(observe(2), executed).actions, want)


def test_warming_up_leaves_no_trace(policy):
    want = play(policy, [1, 2])[-1]
    policy.warm_up()
    assert np.array_equal(play(policy, [1, 2])[-1], want)
