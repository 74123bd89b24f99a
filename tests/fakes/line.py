"""A planner that serves its line in a thread, for tests of whoever starts it."""

import contextlib
import threading

from df_policy.ros_nodes.planner_process import serve


class Thread:
    """Runs as a process does; killing it cuts its line."""

    def __init__(self, make, end, imagine):
        self._end = end.dup()
        self._thread = threading.Thread(
            target=serve, args=(make, self._end), kwargs={"imagine": imagine}, daemon=True
        )
        self._thread.start()

    def poll(self):
        return None if self._thread.is_alive() else 0

    def kill(self):
        with contextlib.suppress(OSError):
            self._end.shutdown(2)

    def wait(self, timeout=None):
        self._thread.join(timeout)
        return 0


def in_thread(make, *, imagine=False):
    """How to start it."""
    return lambda end: Thread(make, end, imagine)
