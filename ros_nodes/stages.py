"""Where the time goes between a picture and the first target that is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.align import RobotStreams
from df_policy.frames import Observation
from df_policy.plan import Plan
from df_policy.ros_nodes.planning import Outcome

STAGES = ("image to node", "node to look", "look to planner", "in the planner", "plan to target")
"""In order; together they are the whole chain. Waiting for other jobs is time in the planner."""


@dataclass(frozen=True)
class Look:
    """What is known of a job when it is sent."""

    image_ns: int
    """Stamp of its oldest image."""
    received_ns: int
    """When the last of its images was here [robot's clock]."""
    looked_ns: int
    """When the job was sent [robot's clock]."""
    sent_ns: int
    """The same [monotonic clock]."""
    committed: int
    """Actions that were decided already."""


def look_at(
    observation: Observation, streams: RobotStreams, now_ns: int, sent_ns: int, committed: int
) -> Look:
    """What is known of a job with this observation, which is sent now."""
    stamps = observation.image_stamps_ns.values()
    samples = [stream.at(observation.stamp_ns) for stream in streams.images.values()]
    received = max((sample.heard_ns or now_ns for sample in samples), default=now_ns)
    image_ns = min(stamps, default=observation.stamp_ns)
    return Look(image_ns, min(received, now_ns), now_ns, sent_ns, committed)


@dataclass(frozen=True)
class Chain:
    """The times of one plan."""

    target_ns: int
    """When its first target was sent [robot's clock]."""
    image_ns: int
    """Stamp of the oldest image that it was made of."""
    stages_ms: tuple[float, ...]
    """See STAGES."""
    late: int
    """Actions whose time had gone by when the plan came, though they were not committed."""


def chain(look: Look, outcome: Outcome, plan: Plan, now_ns: int, mono_ns: int) -> Chain:
    """The times of a plan of which the first target is sent now."""
    edges = (
        look.received_ns - look.image_ns,
        look.looked_ns - look.received_ns,
        outcome.got_ns - look.sent_ns,
        outcome.ready_ns - outcome.got_ns,
        mono_ns - outcome.ready_ns,
    )
    gone = (now_ns - plan.start_ns) // plan.period_ns
    late = max(0, min(gone, len(plan.actions)) - look.committed)
    return Chain(now_ns, look.image_ns, tuple(edge * 1e-6 for edge in edges), late)
