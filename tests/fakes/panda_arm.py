"""A Panda's forward kinematics and Jacobian, for stand-ins of it; needs numpy alone.

Source: Denavit-Hartenberg parameters (Craig) of the FCI documentation, hand's tool included.
"""

import numpy as np

A = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088, 0.0)
D = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0, 0.107 + 0.1034)
ALPHA = (0.0, -np.pi / 2, np.pi / 2, np.pi / 2, -np.pi / 2, np.pi / 2, np.pi / 2, 0.0)
TURN = -np.pi / 4
"""Of the hand on the flange."""
HOME = np.array([0.0, -0.494, 0.0, -2.752, 0.0, 2.258, 0.785])
LOW = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
HIGH = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
SPEED = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])


def _link(a, d, alpha, theta):
    ct, st, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
    return np.array(
        [
            [ct, -st, 0.0, a],
            [st * ca, ct * ca, -sa, -d * sa],
            [st * sa, ct * sa, ca, d * ca],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def frames(q):
    """The pose of each joint, then the tool's, as matrices."""
    found, frame = [], np.eye(4)
    for a, d, alpha, theta in zip(A, D, ALPHA, [*q, TURN]):  # noqa: B905  # Python 3.8 too
        frame = frame @ _link(a, d, alpha, theta)
        found.append(frame)
    return found


def tool(q):
    """Position, and quaternion (xyzw)."""
    frame = frames(q)[-1]
    return frame[:3, 3], quaternion(frame[:3, :3])


def jacobian(q):
    """Six rows: how the joints move and turn the tool."""
    *joints, end = frames(q)
    axes = [joint[:3, 2] for joint in joints]
    arms = [end[:3, 3] - joint[:3, 3] for joint in joints]
    moves = [np.cross(axis, arm) for axis, arm in zip(axes, arms)]  # noqa: B905
    return np.vstack([np.array(moves).T, np.array(axes).T])


def quaternion(matrix):
    """The quaternion (xyzw) of a rotation: of four ways the one that divides by most."""
    trace = np.trace(matrix)
    square = np.array([*np.diag(matrix), trace])
    place = int(np.argmax(square))
    quat = np.zeros(4)
    if place == 3:
        quat[3] = 1 + trace
        quat[0] = matrix[2, 1] - matrix[1, 2]
        quat[1] = matrix[0, 2] - matrix[2, 0]
        quat[2] = matrix[1, 0] - matrix[0, 1]
    else:
        i, j, k = place, (place + 1) % 3, (place + 2) % 3
        quat[i] = 1 - trace + 2 * matrix[i, i]
        quat[j], quat[k] = matrix[j, i] + matrix[i, j], matrix[k, i] + matrix[i, k]
        quat[3] = matrix[k, j] - matrix[j, k]
    return quat / np.linalg.norm(quat)
