"""How surely messages of a topic arrive: both ends are set by one row."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


@dataclass(frozen=True)
class Delivery:
    """How both ends of a topic are set, so that they always fit."""

    offered: ReliabilityPolicy
    wanted: ReliabilityPolicy
    depth: int
    latched: bool = False
    """Whether who comes later still gets the last message."""

    def __str__(self) -> str:
        offered, wanted = (
            policy.name.lower().replace("_", " ") for policy in (self.offered, self.wanted)
        )
        ends = offered if offered == wanted else f"{offered} -> {wanted}"
        return f"{ends}, depth {self.depth}" + (", latched" if self.latched else "")

    def profile(self, reliability: ReliabilityPolicy, depth: int = 0) -> QoSProfile:
        """Settings of one end; `depth` where it is not to be the table's."""
        kinds = (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
        durability = kinds[self.latched]
        return QoSProfile(
            depth=depth or self.depth, reliability=reliability, durability=durability
        )


# A reliable sender serves every receiver; a best-effort receiver takes every sender.
STATE = Delivery(ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT, 5)
# Best effort loses images that span many packets.
IMAGE = Delivery(ReliabilityPolicy.RELIABLE, ReliabilityPolicy.RELIABLE, 2)
COMMAND = Delivery(ReliabilityPolicy.RELIABLE, ReliabilityPolicy.RELIABLE, 1)
REPORT = Delivery(ReliabilityPolicy.RELIABLE, ReliabilityPolicy.RELIABLE, 10)
LATCHED = Delivery(ReliabilityPolicy.RELIABLE, ReliabilityPolicy.RELIABLE, 1, latched=True)
