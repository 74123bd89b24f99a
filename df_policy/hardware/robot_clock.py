"""A device's clock in this machine's time."""

from __future__ import annotations

_DRIFT = 1e-4
"""Two clocks go apart by no more than this: 6 ms a minute."""
_SET_NS = 500_000_000
"""A step larger than this is a clock that was set, not a message that was late."""


class RobotClock:
    """Stamps of a device, by its own clock, turned into stamps by this machine's.

    A message is never early, and now and then one comes at once: so the smallest difference
    between the two clocks is nearest to the true one. Older ones count less and less, for clocks
    drift. Stamps keep the device's regularity, however irregularly its messages come.
    """

    def __init__(self) -> None:
        self._ahead_ns: float | None = None
        self._last_ns = 0

    def host_ns(self, device_ns: int, now_ns: int) -> int:
        """When it was, by this machine's clock.

        Args:
            device_ns: the stamp by the device's clock.
            now_ns: this machine's clock when the message came.
        """
        seen_ns = float(now_ns - device_ns)
        passed_ns = device_ns - self._last_ns
        known = self._ahead_ns
        was_set = known is not None and (passed_ns < 0 or abs(seen_ns - known) > _SET_NS)
        if known is None or was_set:
            self._ahead_ns = seen_ns
        else:
            self._ahead_ns = min(known + _DRIFT * passed_ns, seen_ns)
        self._last_ns = device_ns
        return device_ns + round(self._ahead_ns)
