"""The one rule that makes an observation of several streams: the newest sample not after the tick.

The recorder, the trainer's data and the policy see a robot through this rule and no other, so that
what was learnt is what is met.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import Image, Observation
from df_policy.geometry import Pose

T = TypeVar("T")


class LateStreamError(DfPolicyError):
    """A stream had no sample, or none young enough, for a tick.

    Args:
        stream: its name.
        age_s: how old the newest sample not after the tick is; negative if all samples are later,
            None if there is none at all.
        max_age_s: how old it may be.
    """

    def __init__(self, stream: str, age_s: float | None, max_age_s: float) -> None:
        self.stream = stream
        self.age_s = age_s
        if age_s is None:
            got = "got none yet"
        elif age_s < 0.0:
            got = (
                f"all samples are later than now, by {-age_s:.2f} s or more: "
                "is use_sim_time the same on all nodes?"
            )
        else:
            got = f"the newest is {age_s:.2f} s old"
        super().__init__(f"expected a sample of {stream} within {max_age_s:g} s, {got}")


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One value and when it was true."""

    stamp_ns: int
    value: T


class Stream(Generic[T]):
    """The latest samples of one source, in the order of their stamps.

    Args:
        name: what messages call it, for instance `camera/front`.
        max_age_s: an older sample is no answer.
        capacity: samples kept; the oldest go first.
    """

    def __init__(self, name: str, max_age_s: float, capacity: int = 64) -> None:
        if max_age_s <= 0.0 or capacity < 1:
            raise ValueError(f"expected max_age_s > 0, capacity > 0, got {max_age_s}, {capacity}")
        self.name = name
        self.max_age_s = max_age_s
        self._capacity = capacity
        self._samples: list[Sample[T]] = []

    def add(self, stamp_ns: int, value: T) -> None:
        """Put a sample in its place; of two with the same stamp the later one counts."""
        insort(self._samples, Sample(stamp_ns, value), key=_stamp)
        del self._samples[: -self._capacity]

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest sample, if there is one."""
        return self._samples[-1].stamp_ns if self._samples else None

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest sample that is kept, if there is one."""
        return self._samples[0].stamp_ns if self._samples else None

    def at(self, tick_ns: int) -> Sample[T]:
        """The newest sample not after the tick.

        Raises:
            LateStreamError: if there is none, or it is older than `max_age_s`.
        """
        index = bisect_right(self._samples, tick_ns, key=_stamp)
        if index == 0:
            age_s = None if self.oldest_ns is None else (tick_ns - self.oldest_ns) * 1e-9
            raise LateStreamError(self.name, age_s, self.max_age_s)
        sample = self._samples[index - 1]
        age_ns = tick_ns - sample.stamp_ns
        if age_ns > round(self.max_age_s * 1e9):
            raise LateStreamError(self.name, age_ns * 1e-9, self.max_age_s)
        return sample


@dataclass(frozen=True)
class JointReading:
    """What the joints report together."""

    q_rad: Float64[np.ndarray, "n"]
    dq_rad_s: Float64[np.ndarray, "n"]
    gripper_m: float
    """Opening between the fingers."""


class RobotStreams:
    """All streams that one observation is made of.

    Args:
        cameras: their names.
        max_image_age_s: an older image makes no observation.
        max_state_age_s: the same for joints and tool pose.
    """

    def __init__(
        self, cameras: Iterable[str], max_image_age_s: float, max_state_age_s: float
    ) -> None:
        self.images: Mapping[str, Stream[Image]] = {
            name: Stream(f"camera/{name}", max_image_age_s) for name in cameras
        }
        self.joints: Stream[JointReading] = Stream("joint_states", max_state_age_s, 256)
        self.tool: Stream[Pose] = Stream("current_pose", max_state_age_s, 256)

    def all(self) -> tuple[Stream[Image] | Stream[JointReading] | Stream[Pose], ...]:
        """Every stream."""
        return (*self.images.values(), self.joints, self.tool)

    def check(self, now_ns: int) -> None:
        """Nothing, if each stream has a young sample.

        Raises:
            LateStreamError: naming the first that has not.
        """
        for stream in self.all():
            stream.at(now_ns)

    def settled(self, tick_ns: int) -> bool:
        """Whether no sample that still comes can change the observation of this tick."""
        newest = [stream.newest_ns for stream in self.all()]
        return all(stamp is not None and stamp >= tick_ns for stamp in newest)

    def observe(self, tick_ns: int) -> Observation:
        """The observation of this tick.

        Raises:
            LateStreamError: if a stream has no sample for it, or only one that is too old.
        """
        images = {name: stream.at(tick_ns) for name, stream in self.images.items()}
        joints = self.joints.at(tick_ns).value
        return Observation(
            stamp_ns=tick_ns,
            images={name: sample.value for name, sample in images.items()},
            image_stamps_ns={name: sample.stamp_ns for name, sample in images.items()},
            q_rad=joints.q_rad,
            dq_rad_s=joints.dq_rad_s,
            tool=self.tool.at(tick_ns).value,
            gripper_m=joints.gripper_m,
        )


def _stamp(sample: Sample[T]) -> int:
    return sample.stamp_ns
