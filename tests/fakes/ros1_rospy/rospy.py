"""The little of rospy that the adapter uses, where there is none."""

import time


class Time:
    def __init__(self, ns):
        self._ns = ns

    @staticmethod
    def now():
        return Time(time.time_ns())

    def to_nsec(self):
        return self._ns


def init_node(name, disable_signals=False):
    """Nothing to do without a master."""


def is_shutdown():
    return False
