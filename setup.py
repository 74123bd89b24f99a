"""The package for pip and for colcon (ament_python reads this file, not pyproject.toml)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "df_policy"
LINKED = ("ros_nodes", "teleop", "data", "sim")

for folder in LINKED:
    if not Path(NAME, folder).is_dir():
        raise SystemExit(
            f"{NAME}/{folder} is not a directory: this checkout lost its symbolic links "
            f"(clone it with git, or run: ln -sfn ../{folder} {NAME}/{folder})"
        )

found = re.search(r'^__version__ = "(.+)"$', Path(NAME, "__init__.py").read_text("utf-8"), re.M)
if found is None:
    raise SystemExit(f"{NAME}/__init__.py has no line __version__ = '...'")


def files(pattern: str) -> list[str]:
    """Paths below this folder, sorted."""
    return sorted(str(path) for path in Path().glob(pattern))


ROS = [
    "ros-rclpy[fastrtps]>=9.1,<10",
    "ros-sensor-msgs>=5.5,<6",
    "ros-geometry-msgs>=5.5,<6",
    "ros-nav-msgs>=5.5,<6",
    "ros-std-msgs>=5.5,<6",
    "ros-std-srvs>=5.5,<6",
    "ros-diagnostic-msgs>=5.5,<6",
    "ros-rosgraph-msgs>=2.3,<3",
    "ros-lifecycle-msgs>=2.3,<3",
    "ros-action-msgs>=2.3,<3",
    "ros-visualization-msgs>=5.5,<6",
]
# What other projects' datasets are read and written with, beside what recordings need anyway.
FORMATS = ["mcap>=1.2", "mcap-ros2-support>=0.5.5", "pillow>=10", "pin>=3", "pyarrow>=18"]
WEB = ["aiohttp>=3.12,<4"]
GAMEPAD = ["pygame-ce>=2.5,<3"]
SPACEMOUSE = ["pyspacemouse>=2.1,<3"]  # and libhidapi, which the system has or not
FRANKA = ["franky-control>=2.0,<3"]
REALSENSE = ["pyrealsense2>=2.55", "libusb-package>=1.0.26"]
VIEW = ["rerun-sdk>=0.26"]
REMOTE = ["fsspec>=2025.2", "s3fs>=2025.2"]
TEST = [
    *FORMATS,
    *WEB,
    *GAMEPAD,
    *SPACEMOUSE,
    *VIEW,
    *FRANKA,
    *REALSENSE,
    "beartype>=0.22",
    "build>=1.2",
    "hypothesis>=6.100",
    "mypy>=2.0",
    "playwright>=1.50",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "ruff>=0.15",
    "setuptools>=77,<80",
]

setup(
    name=NAME,
    version=found[1],
    description="Diffusion forcing for robot arms: record, train, plan and drive.",
    long_description=Path("README.md").read_text("utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    author="df_policy maintainers",
    maintainer="df_policy maintainers",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={
        NAME: ["py.typed", "weights/*/*"],
        f"{NAME}.sim": ["assets/*"],
        f"{NAME}.teleop": ["page/*"],
        f"{NAME}.ros_nodes": ["*.xml"],
    },
    zip_safe=False,
    install_requires=[
        "av>=14",
        "daqp>=0.7",
        "franky-sim>=1.0,<2",
        "gymnasium>=1.2,<2",
        "google-crc32c>=1.6",
        "h5py>=3.12",
        "imagecodecs>=2025.3",
        "jaxtyping>=0.3",
        "matplotlib>=3.9",
        "mink>=1.3,<2",
        "mujoco>=3.10,<5",
        "numpy>=2.0,<3",
        "opencv-python-headless>=4.10",
        "rich>=14",
        "safetensors>=0.5",
        "scipy>=1.14",
        "tensorboard>=2.18",
        "torch>=2.13",
        "tyro>=1.0,<2",
        "zarr>=3.1,<4",
    ],
    # On a ROS 2 machine rclpy and the messages come from apt; elsewhere from these wheels.
    extras_require={
        "formats": FORMATS,
        "ros": ROS,
        "test": TEST,
        "web": WEB,
        "gamepad": GAMEPAD,
        "spacemouse": SPACEMOUSE,
        "view": VIEW,
        "remote": REMOTE,
        "franka": FRANKA,
        "realsense": REALSENSE,
        "wandb": ["wandb>=0.18"],
        "log": ["mcap>=1.2"],
    },
    entry_points={
        "console_scripts": [
            f"{NAME} = {NAME}.cli:main",
            f"policy_node = {NAME}.ros_nodes.policy_node:main",
            f"recorder_node = {NAME}.ros_nodes.recorder_node:main",
            f"camera_node = {NAME}.ros_nodes.camera_node:main",
            f"franka_node = {NAME}.ros_nodes.franka_node:main",
            f"franka_sim_node = {NAME}.ros_nodes.franka_sim_node:main",
            f"scripted_node = {NAME}.ros_nodes.scripted_node:main",
            f"sim_node = {NAME}.ros_nodes.sim_node:main",
            f"teleop_node = {NAME}.ros_nodes.teleop_node:main",
            f"episode_node = {NAME}.ros_nodes.episode_node:main",
        ],
        # Any zarr can then read the recordings' images where this package is installed.
        "zarr.codecs": [f"{NAME}.webp = {NAME}.data.image_codec:WebpCodec"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch/*.launch.py")),
        (f"share/{NAME}/layouts", [*files("launch/*.foxglove.json"), *files("launch/*.rviz")]),
    ],
)
