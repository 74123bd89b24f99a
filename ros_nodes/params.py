"""A frozen configuration becomes a node's parameters, and the parameters a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from df_policy.errors import DfPolicyError, nearest

C = TypeVar("C")
ENDLESS = 1e9
"""No second, hertz, metre or share is as many; nanoseconds of it still are a number."""
OWN_OF_ROS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters, and beginnings of parameters, that each node has without our doing."""


def parameter(default: Any, text: str) -> Any:
    """A field of a configuration with the line that explains it."""
    return dataclasses.field(default=default, metadata={"text": text})


def autostart() -> Any:
    """The parameter that every managed node has."""
    return parameter(True, "become active at once; not where a lifecycle manager decides")


def configure(config: type[C], values: Mapping[str, object]) -> C:
    """The configuration with `values`; the rest keeps its defaults.

    Raises:
        DfPolicyError: for a name that `config` lacks, a wrong type or a value that it refuses.
    """
    kinds = field_kinds(config)
    for name in values:
        if name not in kinds:
            hint = nearest(name, kinds) or f"; there are: {', '.join(kinds)}"
            raise DfPolicyError(f"expected a known parameter, got {name!r}{hint}")
    try:
        return config(**{name: _cast(name, value, kinds[name]) for name, value in values.items()})
    except ValueError as error:
        raise DfPolicyError(str(error)) from error


def field_kinds(config: type) -> dict[str, type]:
    """Name -> type (bool, int, float or str) of each field."""
    kinds = get_type_hints(config)
    return {field.name: kinds[field.name] for field in dataclasses.fields(config)}


def _cast(name: str, value: object, kind: type) -> object:
    """`value` as the field wants it; a whole number does for a float."""
    if kind is float and isinstance(value, int | float) and not abs(value) < ENDLESS:
        raise DfPolicyError(f"expected a finite number for parameter '{name}', got {value}")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise DfPolicyError(
            f"expected parameter '{name}' to be of type {kind.__name__}, "
            f"got {value!r} of type {type(value).__name__}"
        )
    return value


def declare(node: Any, config: type[C], *, read_only: bool = True) -> C:
    """Declare one parameter per field and return the configuration.

    Args:
        node: an rclpy node made with `automatically_declare_parameters_from_overrides=True`, so
            that it knows what it was given, known or not.
        config: a frozen dataclass of bools, ints, floats and strings with defaults.
        read_only: whether nobody may set them later.

    Raises:
        DfPolicyError: as `configure`.
    """
    from rcl_interfaces.msg import ParameterDescriptor

    given = {
        name: value.value
        for name, value in node.get_parameters_by_prefix("").items()
        if not name.startswith(OWN_OF_ROS)
    }
    chosen = configure(config, given)
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if field.name in given:
            node.undeclare_parameter(field.name)
        node.declare_parameter(
            field.name,
            getattr(chosen, field.name),
            ParameterDescriptor(description=field.metadata.get("text", ""), read_only=read_only),
            ignore_override=True,
        )
    return chosen


def on_change(node: Any, present: Callable[[], C], accept: Callable[[C, set[str]], None]) -> None:
    """Let parameters be set while the node runs; each change is whole or none of it.

    Args:
        node: declared them by `declare`.
        present: the configuration now.
        accept: takes the new configuration, with the names that were set, for instance to have a
            file read once more; raises DfPolicyError to refuse.
    """
    from rcl_interfaces.msg import SetParametersResult

    def check(parameters: list[Any]) -> Any:
        values = dataclasses.asdict(present())  # type: ignore[call-overload]
        changed = {p.name: p.value for p in parameters if p.name in values}
        try:
            chosen = configure(type(present()), values | changed)
            if changed:
                accept(chosen, set(changed))
        except DfPolicyError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def markdown(config: type) -> str:
    """The parameters as the README shows them."""
    lines = ["| parameter | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(config):
        shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
        default = f"`{shown}`" if shown != "" else "-"
        lines.append(f"| `{field.name}` | {default} | {field.metadata.get('text', '')} |")
    return "\n".join(lines)
