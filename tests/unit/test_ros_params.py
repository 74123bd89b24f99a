"""Configurations and parameters: the same names and types, and nothing unknown."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes.params import configure, field_kinds, markdown, parameter


@dataclass(frozen=True)
class Config:
    name: str = parameter("arm", "what it is called")
    rate_hz: float = parameter(50.0, "how often")
    count: int = parameter(3, "how many")
    loud: bool = parameter(False, "whether it is heard")

    def __post_init__(self):
        if self.rate_hz <= 0.0:
            raise ValueError(f"expected rate_hz above 0, got {self.rate_hz}")


values = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(),
        "rate_hz": st.floats(1e-3, 1e3) | st.integers(1, 1000),
        "count": st.integers(),
        "loud": st.booleans(),
    },
)


@given(values)
def test_what_is_given_is_taken_and_the_rest_keeps_its_default(given_values):
    config = configure(Config, given_values)
    for name, kind in field_kinds(Config).items():
        value = getattr(config, name)
        assert value == given_values.get(name, getattr(Config(), name))
        assert type(value) is kind


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DfPolicyError, match="'rate_h'; did you mean 'rate_hz'"):
        configure(Config, {"rate_h": 1.0})
    with pytest.raises(DfPolicyError, match="there are: name, rate_hz, count, loud"):
        configure(Config, {"zzzz": 1.0})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1e300, 10**18])
def test_a_number_that_nothing_can_be_reckoned_with_is_refused_by_name(value):
    with pytest.raises(DfPolicyError, match="finite number for parameter 'rate_hz'"):
        configure(Config, {"rate_hz": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", 5), ("rate_hz", "fast"), ("rate_hz", True), ("count", 1.5), ("loud", 1)],
)
def test_a_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(DfPolicyError, match=f"'{name}' to be of type"):
        configure(Config, {name: value})


def test_a_value_that_the_configuration_refuses_is_a_user_error():
    with pytest.raises(DfPolicyError, match="rate_hz above 0"):
        configure(Config, {"rate_hz": -1.0})


def test_the_table_has_a_row_per_field():
    table = markdown(Config).splitlines()
    assert len(table) == 2 + 4
    assert "| `loud` | `false` | whether it is heard |" in table
