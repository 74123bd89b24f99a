"""A SpaceMouse: the real library reads the reports that its hardware sends."""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

import pytest

from df_policy.errors import DfPolicyError
from df_policy.teleop.spacemouse import SpaceMouse

pyspacemouse = pytest.importorskip("pyspacemouse", reason="pip install '.[spacemouse]'")

FULL = 350
"""What the hardware reports at full deflection."""


class FakeHid:
    """The one end of a USB cable; everything above it is the library."""

    product_string = manufacturer_string = serial_number = "fake"
    release_number = 1

    def __init__(self) -> None:
        self.reports: deque[bytes] = deque()
        self.plugged = True

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def set_nonblocking(self, on: bool) -> None:
        assert on, "a read that waits would hold up the buttons"

    def read(self, size: int) -> bytearray:
        if not self.plugged:
            raise OSError("Failed to read from HID device: -1")
        return bytearray(self.reports.popleft()) if self.reports else bytearray()

    def move(self, x: int = 0, y: int = 0, z: int = 0) -> None:
        self.reports.append(struct.pack("<Bhhh", 1, x, y, z))

    def turn(self, x: int = 0, y: int = 0, z: int = 0) -> None:
        self.reports.append(struct.pack("<Bhhh", 2, x, y, z))

    def buttons(self, *, left: bool = False, right: bool = False) -> None:
        self.reports.append(bytes([3, left | right << 1, 0]))


@pytest.fixture
def hid(monkeypatch: pytest.MonkeyPatch) -> FakeHid:
    cable = FakeHid()
    specification = pyspacemouse.get_device_specs()["SpaceNavigator"]

    def plugged_in(**settings: Any) -> Any:
        from pyspacemouse.api import _create_and_open_device

        assert cable.plugged, "none found"
        return _create_and_open_device(specification, cable, **settings)

    monkeypatch.setattr(pyspacemouse, "open", plugged_in)
    return cable


@pytest.fixture
def mouse(hid: FakeHid) -> SpaceMouse:
    made = SpaceMouse()
    made.open()
    return made


# The hardware's own axes: x right, y towards the person, z down.
@pytest.mark.parametrize(
    ("report", "linear"),
    [
        ((FULL, 0, 0), (0.0, -1.0, 0.0)),
        ((0, -FULL, 0), (1.0, 0.0, 0.0)),
        ((0, 0, -FULL), (0.0, 0.0, 1.0)),
    ],
)
def test_a_push_goes_where_the_hand_goes(
    hid: FakeHid, mouse: SpaceMouse, report: tuple, linear: tuple
) -> None:
    hid.move(*report)
    assert mouse.poll().motion.linear == pytest.approx(linear)


@pytest.mark.parametrize(
    ("report", "angular"),
    [
        ((0, 0, FULL), (0.0, 0.0, -1.0)),
        ((FULL, 0, 0), (0.0, -1.0, 0.0)),
        ((0, FULL, 0), (-1.0, 0.0, 0.0)),
    ],
)
def test_a_turn_is_right_handed_about_the_same_axes(
    hid: FakeHid, mouse: SpaceMouse, report: tuple, angular: tuple
) -> None:
    hid.turn(*report)
    assert mouse.poll().motion.angular == pytest.approx(angular)


def test_the_newest_of_many_reports_counts(hid: FakeHid, mouse: SpaceMouse) -> None:
    for share in range(1, 21):
        hid.move(y=-FULL * share // 20)
        hid.turn(z=-FULL * share // 20)
    stick = mouse.poll().motion
    assert (stick.linear[0], stick.angular[2]) == pytest.approx((1.0, 1.0))
    assert not hid.reports


def test_a_mouse_that_rests_is_not_taken_for_gone(hid: FakeHid, mouse: SpaceMouse) -> None:
    hid.move(y=-FULL)
    mouse.poll()
    hid.move()
    assert mouse.poll().motion.linear == (0.0, 0.0, 0.0)
    first, second = mouse.poll(), mouse.poll()
    assert second.heard_s > first.heard_s


def test_its_buttons_close_and_open(hid: FakeHid, mouse: SpaceMouse) -> None:
    hid.buttons(left=True)
    assert mouse.poll().motion.gripper == -1.0
    hid.buttons(right=True)
    assert mouse.poll().motion.gripper == 1.0


def test_an_unplugged_mouse_is_told_and_no_old_push_goes_on(
    hid: FakeHid, mouse: SpaceMouse
) -> None:
    hid.move(y=-FULL)
    assert mouse.poll().motion.linear[0] == pytest.approx(1.0)
    hid.plugged = False
    with pytest.raises(DfPolicyError, match="SpaceMouse: unplugged"):
        mouse.poll()
    mouse.close()
    with pytest.raises(DfPolicyError, match="expected a SpaceMouse"):
        mouse.open()
