"""What calls left behind lets another policy go on bit for bit; nothing else is taken for it."""

import dataclasses

import numpy as np
import pytest
import torch
from training_data import SPEC, make_checkpoint, tiny

from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.policy import Policy
from df_policy.presets import PRESETS
from df_policy.trust import OLDEST_NS


def observe(seed):
    rng = np.random.default_rng(seed)
    images = {c: rng.integers(0, 255, (*s, 3), dtype=np.uint8) for c, s in SPEC.cameras.items()}
    pose = Pose.of(rng.uniform(0.3, 0.5, 3), [1, 0, 0, 0])
    seen = Observation(
        seed, images, dict.fromkeys(images, seed), np.zeros(1), np.zeros(1), pose, 0.08
    )
    return dataclasses.replace(seen, before=seen)


def make(name, trust="always", every=None, **changes):
    """A policy to which no image is strange, so that it doubts old ones alone."""
    trained = make_checkpoint(config=tiny(name))
    generator = torch.Generator().manual_seed(0)
    for parameter in trained.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    trained.about["unexplained"] = dict.fromkeys(SPEC.cameras, 10.0)
    trained.about["uncertainty"] = dict.fromkeys(SPEC.cameras, 0.3)
    sampler = trained.config.sampler
    every = every or sampler.every
    return Policy(trained, dataclasses.replace(sampler, trust=trust, every=every, **changes))


class Run:
    """One episode of one policy; what it left behind is kept as the control side keeps it."""

    def __init__(self, policy, seed=5, old=None):
        self.policy, self.tokens, self.rest, self.call = policy, [], b"", 0
        self.old = old or {}
        """Camera -> calls at which its image is too old to be believed."""
        policy.reset(seed)

    def go(self, calls, only_remember=()):
        """The plans of so many calls."""
        plans = []
        for _ in range(calls):
            moved = [observe(1000 + self.call).hold()] * self.policy.every
            told = (self.see(), moved if self.call else [])
            if self.call in only_remember:
                self.policy.remember(*told)
            else:
                plans.append(self.policy.plan(*told, moved[:1]).actions)
            trace = self.policy.trace()
            self.tokens.append(trace.token)
            self.rest = trace.rest
            self.call += 1
        return plans

    def see(self):
        seen = observe(self.call)
        old = {camera for camera, calls in self.old.items() if self.call in calls}
        stamps = {
            camera: stamp - (OLDEST_NS + 1) * (camera in old)
            for camera, stamp in seen.image_stamps_ns.items()
        }
        return dataclasses.replace(seen, image_stamps_ns=stamps)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("calls", [1, 7])
def test_another_policy_goes_on_bit_for_bit(name, calls):
    first = Run(make(name))
    first.go(calls, only_remember={2})
    tokens, rest = list(first.tokens), first.rest
    plans = first.go(5)
    second = Run(make(name), seed=99)
    second.go(3)  # whatever it did before is forgotten
    second.policy.recall(tokens, rest)
    second.call = calls
    assert [plan.tobytes() for plan in second.go(5)] == [plan.tobytes() for plan in plans]


@pytest.mark.parametrize("matrix", ["rolling", "warm"])
@pytest.mark.parametrize(("every", "calls"), [(8, 1), (8, 3), (4, 5)])
def test_what_plans_left_partly_denoised_is_carried_over_to_the_other(matrix, every, calls):
    first, second = (Run(make("fruit_swap", every=every, matrix=matrix)) for _ in range(2))
    first.go(calls, only_remember={2})
    second.go(2)
    second.policy.recall(first.tokens, first.rest)
    plans, second.call = first.go(3), calls
    assert [plan.tobytes() for plan in second.go(3)] == [plan.tobytes() for plan in plans]


@pytest.mark.parametrize("every", [2, 8])
@pytest.mark.parametrize("calls", [1, 6, 11])
def test_what_was_doubted_and_imagined_in_its_place_is_known_to_the_other(calls, every):
    """For how long a camera was not seen too: what is imagined is the less believed."""
    old = {"front": range(1, 99), "wrist": (3, 4, 5, 9)}
    first = Run(make("fruit_swap", "by_plausibility", every), old=old)
    first.go(calls, only_remember={2})
    tokens, rest = list(first.tokens), first.rest
    unseen = [dict(memory._unseen) for memory in first.policy._memories]
    plans = first.go(6)
    second = Run(make("fruit_swap", "by_plausibility", every), seed=99, old=old)
    second.go(3)
    second.policy.recall(tokens, rest)
    assert [memory._unseen for memory in second.policy._memories] == unseen
    places = 8 // every
    front = [len(range(1, calls)[(place - 1) % places :: places]) for place in range(places)]
    assert [counts["front"] for counts in unseen] == front
    second.call = calls
    assert [plan.tobytes() for plan in second.go(6)] == [plan.tobytes() for plan in plans]
    assert second.tokens[3:] == first.tokens[calls:]


def test_remembering_changes_later_plans_as_planning_does():
    """But for the randomness, which a plan uses up."""
    plans, remembers, neither = Run(make("fruit_swap")), Run(make("fruit_swap")), None
    plans.go(3)
    remembers.go(3, only_remember={0, 1, 2})
    assert plans.tokens == remembers.tokens
    neither = Run(make("fruit_swap"))
    assert neither.go(1)[0].tobytes() != remembers.go(1)[0].tobytes()


def test_where_the_first_tokens_are_missing_they_are_forgotten():
    first = Run(make("fruit_swap"))
    first.go(9)
    whole, part = (make("fruit_swap") for _ in range(2))
    whole.recall(first.tokens, first.rest)
    part.recall(first.tokens[5:], first.rest)
    moved = [observe(0).hold()] * whole.every
    assert not np.array_equal(
        whole.plan(observe(9), moved).actions, part.plan(observe(9), moved).actions
    )


def test_what_is_left_behind_is_small():
    run = Run(make("fruit_swap_attention"))
    run.go(30)
    assert max(map(len, run.tokens)) < 4000
    assert len(run.rest) < 20_000


@pytest.mark.parametrize(
    ("tokens", "rest"), [([b"junk"], None), ([], b"junk"), ([], b""), ([b""], None)]
)
def test_anything_else_is_refused(tokens, rest):
    run = Run(make("fruit_swap"))
    run.go(2)
    with pytest.raises(DfPolicyError, match="expected what a policy"):
        run.policy.recall(tokens, run.rest if rest is None else rest)


def test_another_checkpoints_tokens_are_refused():
    run = Run(make("fruit_swap_memoryless_two"))
    run.go(2)
    with pytest.raises(DfPolicyError, match="of this checkpoint"):
        make("fruit_swap").recall(run.tokens, run.rest)
