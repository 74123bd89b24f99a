"""Names of devices and tasks."""

from __future__ import annotations

import pytest

from df_policy.errors import DfPolicyError
from df_policy.teleop.device import find
from df_policy.teleop.record import devices


def test_a_known_name_is_found() -> None:
    assert find("device", "scripted", devices()).parallel


@pytest.mark.parametrize("name", ["scriptd", "script", "sripted"])
def test_a_wrong_name_brings_up_the_nearest(name: str) -> None:
    with pytest.raises(DfPolicyError, match="did you mean 'scripted'"):
        find("device", name, devices())


def test_a_name_like_no_other_brings_up_all() -> None:
    with pytest.raises(DfPolicyError, match="expected a device of scripted"):
        find("device", "zzz", devices())
