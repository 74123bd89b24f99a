"""What must be on the machine before `make env`: Python with venv, libraries, a working EGL.

Without arguments it names what is missing and how to get it, and exits 1; with `--packages` it
prints the missing Debian packages alone. It runs on any Python from 3.8, without packages.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys

OLDEST = (3, 11)
EGL_PLATFORM_DEVICE = 0x313F
MOST_DEVICES = 16

LIBRARIES = {"libgomp1": "libgomp.so.1", "libopengl0": "libOpenGL.so.0"}
"""Debian package -> what the wheels load of it."""

EGL_PACKAGES = ["libegl1", "libegl-mesa0", "libgl1-mesa-dri"]
"""OpenGL without a screen, also where there is no GPU."""


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages() -> list[str]:
    """The Debian packages that would make Python's venv, EGL and OpenGL work, without repeats."""
    packages = []
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    packages += [name for name, library in LIBRARIES.items() if not loads(library)]
    if not loads("libEGL.so.1") or not any_device_starts(ctypes.CDLL("libEGL.so.1")):
        packages += EGL_PACKAGES
    return packages


def any_device_starts(egl: ctypes.CDLL) -> bool:
    """Whether an EGL device, a GPU or Mesa's software one, can be initialised without screen."""
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return False
    pointer = ctypes.c_void_p
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_int)
    )(query_address)
    display_of = ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(display_address)
    egl.eglInitialize.argtypes = [pointer, pointer, pointer]

    devices, number = (pointer * MOST_DEVICES)(), ctypes.c_int(0)
    if not query(MOST_DEVICES, devices, ctypes.byref(number)):
        return False
    displays = [display_of(EGL_PLATFORM_DEVICE, devices[i], None) for i in range(number.value)]
    return any(display and egl.eglInitialize(display, None, None) for display in displays)


def main() -> int:
    """Print what is missing; 0 if nothing is."""
    packages = missing_packages()
    if "--packages" in sys.argv[1:]:
        print(" ".join(packages))
        return 0
    if sys.version_info < OLDEST:
        print(
            f"expected Python >= {'.'.join(map(str, OLDEST))}, "
            f"got {'.'.join(map(str, sys.version_info[:2]))} ({sys.executable}); "
            "install a newer one and run: make env PYTHON=/path/to/python3.11"
        )
        return 1
    if packages:
        print("system libraries are missing; on Debian or Ubuntu run:")
        print("  sudo apt-get install -y --no-install-recommends " + " ".join(packages))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
