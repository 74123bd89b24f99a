"""An episode in rerun: images, poses and actions on one time line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import image_column
from df_policy.data.summary import ACTION_NAMES
from df_policy.errors import DfPolicyError
from df_policy.files import write_atomically

if TYPE_CHECKING:
    import rerun

_TIME = "time"
_FRAMES_AT_ONCE = 32


def show(store: EpisodeStore, index: int, path: Path | None) -> None:
    """Show an episode in rerun's viewer, or write it to a file.

    Args:
        store: the recording.
        index: the episode.
        path: an .rrd file; None opens the viewer, which needs a screen.

    Raises:
        DfPolicyError: if rerun is not installed, there is no such episode, or it is damaged.
    """
    try:
        import rerun  # noqa: F401 - whether it is there
    except ImportError as error:
        raise DfPolicyError(
            f"expected rerun to show an episode, got {error}; pip install 'df_policy[view]', or "
            "name an .mp4 with --out"
        ) from error
    store.bounds(index)
    if path is not None:
        write_atomically(path, lambda partial: _log(store, index, partial, path))
    else:
        _log(store, index, None, None)


def _log(store: EpisodeStore, index: int, partial: Path | None, path: Path | None) -> None:
    """All of an episode, into a file that stands in for `path`, or the viewer."""
    import rerun

    first, end = store.bounds(index)
    log = rerun.RecordingStream("df_policy", recording_id=f"{store.path.name}-{index}")
    try:
        if partial is None:
            log.spawn()
        else:
            log.save(str(partial))
        _log_all(log, store, index, first, end)
    except (OSError, RuntimeError) as error:
        raise DfPolicyError(f"expected rerun to show {path or 'a window'}, got {error}") from error
    finally:
        log.disconnect()


def _log_all(
    log: rerun.RecordingStream, store: EpisodeStore, index: int, first: int, end: int
) -> None:
    import rerun

    label = store.label(index)
    words = (
        f"{store.header.task}, episode {index}: seed {label.seed}, "
        f"{'success' if label.success else 'failure'}\n\n{label.note}"
    )
    log.log("about", rerun.TextDocument(words), static=True)
    _log_numbers(log, store, first, end)
    _log_pictures(log, store, first, end)
    log.flush()


def _log_numbers(log: rerun.RecordingStream, store: EpisodeStore, first: int, end: int) -> None:
    import rerun

    clock = 1e-9 * store.rows("stamp_ns", first, end)
    joints = store.spec.joint_names
    names = {"q": joints, "dq": joints, "action": ACTION_NAMES, "action_requested": ACTION_NAMES}
    for name, parts in {**names, "gripper": ("gripper",)}.items():
        rows = store.rows(name, first, end)
        log.log(name, rerun.SeriesLines(names=list(parts)), static=True)
        times = [rerun.TimeColumn(_TIME, duration=clock)]
        log.send_columns(name, indexes=times, columns=rerun.Scalars.columns(scalars=rows))


def _log_pictures(log: rerun.RecordingStream, store: EpisodeStore, first: int, end: int) -> None:
    import rerun

    for start in range(first, end, _FRAMES_AT_ONCE):
        stop = min(start + _FRAMES_AT_ONCE, end)
        stamps, places, turns = (
            store.rows(name, start, stop)
            for name in ("stamp_ns", "tool_position", "tool_quat_xyzw")
        )
        views = {c: store.rows(image_column(c), start, stop) for c in store.spec.cameras}
        for number in range(stop - start):
            log.set_time(_TIME, duration=1e-9 * int(stamps[number]))
            pose = rerun.Transform3D(translation=places[number], quaternion=turns[number])
            log.log("tool", pose)
            for camera, images in views.items():
                log.log(f"camera/{camera}", rerun.Image(images[number]))
