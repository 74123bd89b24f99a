"""Builds control_msgs' action GripperCommand, which no wheel has, with the wheels' generators.

The definition is a format of messages, of which both ends must have the same; a ROS 2 with
ros2_control has it installed. Needs a C++ compiler.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

COMMAND = "float64 position\nfloat64 max_effort\n"
STATE = "float64 position\nfloat64 effort\nbool stalled\nbool reached_goal\n"
FILES = {
    "msg/GripperCommand.msg": COMMAND,
    "action/GripperCommand.action": f"GripperCommand command\n---\n{STATE}---\n{STATE}",
}
NEEDS = ("action_msgs", "builtin_interfaces", "service_msgs", "unique_identifier_msgs")
SUPPORT = "rosidl_typesupport_fastrtps_c"


def why_not():
    """Why it cannot be built here; empty if it can, or is installed."""
    if importlib.util.find_spec("control_msgs") is not None:
        return ""
    if shutil.which("g++") is None:
        return "control_msgs is not installed, and there is no g++ to build it"
    if importlib.util.find_spec("rosidl_typesupport_c") is None:
        return "control_msgs is not installed, nor the generators of messages"
    return ""


def provide(folder):
    """Make `control_msgs` importable, built in `folder` if it is not installed."""
    if importlib.util.find_spec("control_msgs") is None:
        package = folder / "control_msgs"
        generate(folder, package)
        compile_extension(package)
        sys.path.insert(0, str(folder))


def generate(folder, package):
    from rosidl_adapter import convert_to_idl
    from rosidl_generator_c import generate_c
    from rosidl_generator_py import generate_py
    from rosidl_generator_type_description import generate_type_hash
    from rosidl_typesupport_c import generate_c as generate_dispatch
    from rosidl_typesupport_fastrtps_c import generate_typesupport_fastrtps_c

    idls = []
    for name, text in FILES.items():
        source = package / name
        source.parent.mkdir(parents=True)
        source.write_text(text)
        convert_to_idl(package, "control_msgs", Path(name), package)
        idls.append(Path(name).with_suffix(".idl"))
    (package / "__init__.py").touch()
    for kind in ("generator_c", "typesupport_fastrtps_c"):
        declare_visible(package, kind)

    def arguments(generator, **more):
        values = {
            "package_name": "control_msgs",
            "output_dir": str(package),
            "template_dir": str(Path(sys.prefix, "share", f"rosidl_{generator}", "resource")),
            "idl_tuples": [f"{package}:{idl}" for idl in idls],
            "ros_interface_dependencies": [],
            "target_dependencies": [],
            **more,
        }
        path = folder / f"{generator}.json"
        path.write_text(json.dumps(values))
        return str(path)

    shares = [f"{name}:{Path(sys.prefix, 'share', name)}" for name in NEEDS]
    generate_type_hash(arguments("generator_type_description", include_paths=shares))
    described = [f"{idl}:{(package / idl).with_suffix('.json')}" for idl in idls]
    sources = [str(package / name) for name in FILES]
    generate_c(
        arguments("generator_c", type_description_tuples=described, ros_interface_files=sources)
    )
    generate_typesupport_fastrtps_c(arguments("typesupport_fastrtps_c"))
    generate_dispatch(arguments("typesupport_c"), [SUPPORT])
    generate_py(arguments("generator_py"), ["rosidl_typesupport_c"])


def declare_visible(package, kind):
    """The header by which generated code says what it exports."""
    macro, name = kind.upper(), f"rosidl_{kind}__visibility_control.h"
    words = [f"ROSIDL_{macro}_{word}_control_msgs" for word in ("PUBLIC", "IMPORT", "EXPORT")]
    text = "#pragma once\n" + "".join(f"#define {word}\n" for word in words)
    (package / "msg" / name).write_text(text)


def compile_extension(package):
    """All of it as one extension."""
    import numpy as np

    include = Path(sys.prefix, "include")
    folders = [
        package.parent,
        include,
        *include.iterdir(),
        sysconfig.get_path("include"),
        np.get_include(),
    ]
    flags = [f"-I{path}" for path in folders] + ["-fPIC", "-O0", "-w"]
    library = Path(sys.prefix, "lib")
    kinds = ("generator_c", "generator_py", "typesupport_c", "typesupport_fastrtps_c")
    names = [f"{name}__rosidl_{kind}" for name in NEEDS for kind in kinds]
    names += ["rosidl_runtime_c", "rosidl_typesupport_c", SUPPORT, "fastcdr", "rmw", "rcutils"]
    names += ["rosidl_typesupport_fastrtps_cpp"]
    links = [f"-l:lib{name}.so" for name in names if (library / f"lib{name}.so").exists()]
    objects = []
    for source in sorted([*package.rglob("*.c"), *package.rglob("*.cpp")]):
        objects.append(f"{source}.o")
        compiler = ["gcc"] if source.suffix == ".c" else ["g++", "-std=c++17"]
        command = [*compiler, "-c", str(source), "-o", objects[-1], *flags]
        subprocess.run(command, check=True)
    extension = package / "control_msgs_s__rosidl_typesupport_c.so"
    command = ["g++", "-shared", "-o", str(extension), *objects, f"-L{library}", *links]
    subprocess.run([*command, f"-Wl,-rpath,{library}"], check=True)
