"""The one rule that makes an observation of several streams: the newest sample not after the tick.

The recorder, the trainer's data and the policy see a robot through this rule and no other, so that
what was learnt is what is met.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import JOINTS, TOOL, UNKNOWN, Arrival, Image, Observation, camera_stream
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
    received_ns: int = UNKNOWN
    """Wall clock when it reached this computer."""
    heard_ns: int = 0
    """When that was by the clock of the stamps; 0 where nobody looked."""


class Stream(Generic[T]):
    """The latest samples of one source, in the order of their stamps.

    Args:
        name: what messages call it, for instance `camera/front`.
        max_age_s: an older sample is no answer.
        capacity: samples kept; the oldest go first.
        period_s: time between two samples where none is lost; None if it is not known.
    """

    def __init__(
        self, name: str, max_age_s: float, capacity: int = 64, period_s: float | None = None
    ) -> None:
        if max_age_s <= 0.0 or capacity < 1:
            raise ValueError(f"expected max_age_s > 0, capacity > 0, got {max_age_s}, {capacity}")
        self.name = name
        self.max_age_s = max_age_s
        self._capacity = capacity
        self._period_ns = None if period_s is None else period_s * 1e9
        self._samples: list[Sample[T]] = []

    def add(self, stamp_ns: int, value: T, received_ns: int = UNKNOWN, heard_ns: int = 0) -> None:
        """Put a sample in its place; of two with the same stamp the later one counts."""
        insort(self._samples, Sample(stamp_ns, value, received_ns, heard_ns), key=_stamp)
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

    @property
    def delay_ns(self) -> int:
        """How long samples usually take to be here: the median of those that are kept."""
        taken = sorted(s.heard_ns - s.stamp_ns for s in self._samples if s.heard_ns)
        return max(0, taken[len(taken) // 2]) if taken else 0

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

    def arrival(self, tick_ns: int, since_ns: int | None = None) -> Arrival:
        """How the sample of a tick came, and what was lost since an earlier tick.

        Lost is what the period leaves room for between the stamps of the samples that came.

        Raises:
            LateStreamError: as `at`.
        """
        sample = self.at(tick_ns)
        lost = UNKNOWN
        before = 0 if since_ns is None else bisect_right(self._samples, since_ns, key=_stamp)
        if before and self._period_ns is not None:
            last = bisect_right(self._samples, tick_ns, key=_stamp)
            gaps = np.diff([one.stamp_ns for one in self._samples[before - 1 : last]])
            lost = int(np.maximum(np.rint(gaps / self._period_ns) - 1, 0).sum())
        return Arrival(sample.stamp_ns, sample.received_ns, lost)


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
        periods_s: time between two samples, by the names of `df_policy.frames.streams`; losses
            of those that are not in it are not known.
    """

    def __init__(
        self,
        cameras: Iterable[str],
        max_image_age_s: float,
        max_state_age_s: float,
        periods_s: Mapping[str, float] | None = None,
    ) -> None:
        periods = periods_s or {}
        self.images: Mapping[str, Stream[Image]] = {
            name: Stream(
                f"camera/{name}", max_image_age_s, period_s=periods.get(camera_stream(name))
            )
            for name in cameras
        }
        self.joints: Stream[JointReading] = Stream(
            "joint_states", max_state_age_s, 256, periods.get(JOINTS)
        )
        self.tool: Stream[Pose] = Stream("current_pose", max_state_age_s, 256, periods.get(TOOL))

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

    @property
    def delay_ns(self) -> int:
        """How long the slowest stream's samples usually take to be here."""
        return max(stream.delay_ns for stream in self.all())

    def observe(self, tick_ns: int, since_ns: int | None = None) -> Observation:
        """The observation of this tick.

        Args:
            tick_ns: when.
            since_ns: the tick before, from which losses are counted; None if there was none.

        Raises:
            LateStreamError: if a stream has no sample for it, or only one that is too old.
        """
        images = {name: stream.at(tick_ns) for name, stream in self.images.items()}
        joints = self.joints.at(tick_ns).value
        ways: dict[str, Stream[Any]] = {camera_stream(n): s for n, s in self.images.items()}
        ways |= {JOINTS: self.joints, TOOL: self.tool}
        return Observation(
            stamp_ns=tick_ns,
            images={name: sample.value for name, sample in images.items()},
            image_stamps_ns={name: sample.stamp_ns for name, sample in images.items()},
            q_rad=joints.q_rad,
            dq_rad_s=joints.dq_rad_s,
            tool=self.tool.at(tick_ns).value,
            gripper_m=joints.gripper_m,
            arrivals={name: stream.arrival(tick_ns, since_ns) for name, stream in ways.items()},
        )


def _stamp(sample: Sample[T]) -> int:
    return sample.stamp_ns
