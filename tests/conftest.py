"""What every test stands on: fixed seeds, no screen, no network, nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import random

# Before anything imports mujoco, rclpy or hypothesis' database.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "df_policy",
    deadline=None,  # the machine may be busy
    derandomize=True,  # the same examples in every run
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("df_policy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without rclpy, the tests that need it are skipped and say so."""
    if importlib.util.find_spec("rclpy") is not None:
        return
    skip = pytest.mark.skip(reason="rclpy is not installed: pip install '.[ros]', or source ROS 2")
    for item in items:
        if item.get_closest_marker("ros"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Code under test gets its generators handed in; this is for libraries that do not."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(autouse=True)
def ros_logs_stay_here(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ROS writes its log files among the test's, not into the home folder."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path_factory.getbasetemp() / "ros_logs"))
