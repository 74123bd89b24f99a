"""Diffusion forcing for robot arms: record, train, plan and drive."""

__version__ = "0.1.0"
