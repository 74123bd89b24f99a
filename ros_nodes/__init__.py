"""The ROS 2 nodes; importing this package loads no ROS."""


def missing_ros(error: ImportError) -> str:
    """What to say when ROS 2, or one of its message packages, is not there."""
    return (
        f"df_policy: expected ROS 2 with rclpy and its message packages, got: {error}; "
        "do `pip install df_policy[ros]`, or source your ROS 2 installation's setup file"
    )
