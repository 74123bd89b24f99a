"""Definitions of ROS messages as logs carry them, so that any reader of logs understands them."""

from __future__ import annotations

import importlib
import re
from typing import Any

_NAMES = {"double": "float64", "float": "float32", "boolean": "bool", "octet": "byte"}


def name_of(message: Any) -> str:
    """What a type of messages is called: `sensor_msgs/msg/Image`."""
    package, folder, *_ = message.__module__.split(".")
    return f"{package}/{folder}/{message.__name__}"


def definition(message: Any) -> str:
    """The type's definition and those of all types in it, in the format `ros2msg`."""
    todo, done = [message], {name_of(message): _fields(message)}
    while todo:
        for kind in todo.pop().get_fields_and_field_types().values():
            found = re.search(r"(\w+)/(\w+)", kind)
            if found is None or f"{found[1]}/msg/{found[2]}" in done:
                continue
            part = getattr(importlib.import_module(f"{found[1]}.msg"), found[2])
            done[name_of(part)] = _fields(part)
            todo.append(part)
    first, *others = done
    rule = "=" * 80
    texts = [f"{rule}\nMSG: {name.replace('/msg/', '/')}\n{done[name]}" for name in others]
    return "\n".join([done[first], *texts])


def _fields(message: Any) -> str:
    fields = message.get_fields_and_field_types()
    return "\n".join(f"{_written(kind)} {name}" for name, kind in fields.items()) + "\n"


def _written(kind: str) -> str:
    """A field's type as definitions write it: `double[9]` is `float64[9]`."""
    if found := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", kind):
        return _written(found[1]) + (f"[<={found[2]}]" if found[2] else "[]")
    if found := re.fullmatch(r"(.+)\[(\d+)\]", kind):
        return f"{_written(found[1])}[{found[2]}]"
    return _NAMES.get(kind, kind)
