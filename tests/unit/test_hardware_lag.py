"""A lag is found to a millisecond, whatever the scale of what follows; nonsense is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.hardware import lag

PARTS, PART_S = 3, 1.5


def bumps(times_s):
    return np.sin(np.pi * np.clip(times_s % PART_S, 0.0, 1.0)) ** 3


def signal(times_s, values):
    return np.column_stack([times_s, values])


@given(
    late_s=st.floats(0.0, 0.3),
    scale=st.sampled_from([-30.0, 1e-3, 1.0, 200.0]),
    rate_hz=st.sampled_from([30.0, 50.0, 90.0]),
    seed=st.integers(0, 9),
)
def test_a_lag_is_found_between_the_samples(late_s, scale, rate_hz, seed):
    rng = np.random.default_rng(seed)
    told_s = np.arange(0.0, PARTS * PART_S, 0.02)
    seen_s = np.sort(np.arange(0.0, PARTS * PART_S, 1.0 / rate_hz) + rng.uniform(0, 0.003))
    seen = abs(scale) * (bumps(seen_s - late_s) + rng.normal(0, 0.005, len(seen_s))) + scale
    ends_s = PART_S * np.arange(PARTS + 1)
    found = lag.of_parts(signal(told_s, bumps(told_s)), signal(seen_s, seen), ends_s.tolist())
    assert found.median_s == pytest.approx(late_s, abs=0.003)
    assert found.spread_s < 0.01


def test_what_does_not_follow_is_refused():
    times_s = np.arange(0.0, PART_S, 0.02)
    still = signal(times_s, np.full(len(times_s), 0.3))
    noise = signal(times_s, np.random.default_rng(0).normal(size=len(times_s)))
    for other in (still, noise):
        with pytest.raises(DfPolicyError, match="does anything hold it"):
            lag.lag_s(signal(times_s, bumps(times_s)), other)


def test_the_file_holds_every_measurement(tmp_path):
    found = lag.Lag((0.020, 0.024, 0.021))
    lag.write(tmp_path / "latency.json", {"arm": found})
    said = json.loads((tmp_path / "latency.json").read_text())["arm"]
    assert said["each_s"] == [0.020, 0.024, 0.021]
    assert said["median_s"] == 0.021
    assert said["spread_s"] == pytest.approx(0.004)
    assert "21.0 ms (median of 3, spread 4.0 ms)" in str(found)
