"""What runs in the Python of ROS 1: nothing here imports the rest of this package."""
