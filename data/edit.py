"""Changes of a recording as plans: which frames of which episodes, under which labels.

A plan is a list of pieces, and making one reads nothing but numbers: a dry run is a plan that is
shown. `apply` carries it out.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from df_policy.data import durable, journal
from df_policy.data.compose import Piece, Progress, compose, whole
from df_policy.data.header import Header, check_same
from df_policy.data.label import Label
from df_policy.data.reader import EpisodeStore
from df_policy.data.replace import put_in_place
from df_policy.data.schema import SCHEMA_VERSION
from df_policy.errors import DfPolicyError


@dataclass(frozen=True)
class Plan:
    """A recording that could be written."""

    header: Header
    pieces: tuple[Piece, ...]
    says: tuple[str, ...]
    """What differs from the source, a line each."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The recordings that it takes from."""
        return tuple(dict.fromkeys(piece.store.path for piece in self.pieces))


def episode_numbers(text: str, count: int) -> list[int]:
    """The episodes that `3,5-7` names, in order.

    Raises:
        DfPolicyError: if it names none, or one that is not there.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if match is None:
            raise DfPolicyError(f"expected episodes as in 3,5-7, got {text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= count:
            raise DfPolicyError(
                f"expected episodes from 0 to {count - 1}, got {part.strip()!r} in {text!r}"
            )
        found.update(range(first, last + 1))
    return sorted(found)


def _plan(store: EpisodeStore, pieces: Sequence[Piece], says: Sequence[str]) -> Plan:
    return Plan(replace(store.header, version=SCHEMA_VERSION), tuple(pieces), tuple(says))


def delete(store: EpisodeStore, numbers: Collection[int]) -> Plan:
    """Without some episodes.

    Raises:
        DfPolicyError: if none would be left.
    """
    pieces = [piece for piece in whole(store) if piece.episode not in numbers]
    if not pieces:
        raise DfPolicyError(f"expected episodes to stay in {store.path}, got all to delete")
    lines = [f"delete {_named(store, number)}" for number in numbers]
    return _plan(store, pieces, lines)


def split(store: EpisodeStore, at: int) -> tuple[Plan, Plan]:
    """The first `at` episodes, and the others.

    Raises:
        DfPolicyError: if one of both would be empty.
    """
    if not 0 < at < len(store):
        raise DfPolicyError(f"expected a place from 1 to {len(store) - 1} to split, got {at}")
    pieces = whole(store)
    first, second = pieces[:at], pieces[at:]
    return (
        _plan(store, first, [f"episodes 0 to {at - 1}, {store.ends[at - 1]} frames"]),
        _plan(store, second, [f"episodes {at} to {len(store) - 1}"]),
    )


def merge(stores: Sequence[EpisodeStore]) -> Plan:
    """All episodes of several recordings of one robot and task, one after the other.

    Raises:
        DfPolicyError: if they differ, or one is named twice.
    """
    first = stores[0].header
    places = [store.path.resolve() for store in stores]
    if len(set(places)) < len(places):
        raise DfPolicyError(f"expected each recording once, got {', '.join(map(str, places))}")
    for store in stores[1:]:
        check_same(first, store.header, str(stores[0].path))
    header = replace(
        first,
        version=SCHEMA_VERSION,
        operators=_each_once(store.header.operators for store in stores),
        code_versions=_each_once(store.header.code_versions for store in stores),
    )
    lines = [f"{len(store)} episodes, {store.frames} frames of {store.path}" for store in stores]
    return Plan(header, tuple(piece for store in stores for piece in whole(store)), tuple(lines))


def trim(store: EpisodeStore, numbers: Collection[int], head: int, tail: int) -> Plan:
    """Without the first and last frames of some episodes.

    Raises:
        DfPolicyError: if an episode would be left with nothing.
    """
    if head < 0 or tail < 0 or head + tail == 0:
        raise DfPolicyError(f"expected frames to cut at the head or tail, got {head} and {tail}")
    pieces = whole(store)
    for number in numbers:
        piece = pieces[number]
        if piece.frames <= head + tail:
            raise DfPolicyError(
                f"expected more than {head + tail} frames in episode {number}, got {piece.frames}"
            )
        pieces[number] = replace(piece, start=head, stop=piece.stop - tail)
    lines = [f"cut {head} and {tail} frames of {_named(store, number)}" for number in numbers]
    return _plan(store, pieces, lines)


def relabel(
    store: EpisodeStore, numbers: Collection[int], change: Callable[[Label], Label], task: str = ""
) -> Plan:
    """With other labels of some episodes, or another task of all."""
    pieces = whole(store)
    lines = []
    for number in numbers:
        old, new = pieces[number].label, change(pieces[number].label)
        if new != old:
            pieces[number] = replace(pieces[number], label=new)
            lines.append(f"{_named(store, number)}: {_difference(old, new)}")
    plan = _plan(store, pieces, lines)
    if task and task != store.header.task:
        named = f"task of all episodes: {store.header.task!r} becomes {task!r}"
        plan = replace(plan, header=replace(plan.header, task=task), says=(*plan.says, named))
    return plan


def write(plan: Plan, out: Path, progress: Progress | None = None) -> None:
    """Make the recording at `out`, where nothing may be.

    Raises:
        DfPolicyError: if something is there, a source is recorded to, or the disk refuses.
    """
    with _alone(plan.sources):
        compose(out, plan.header, plan.pieces, progress)


def write_in_place(plan: Plan, path: Path, progress: Progress | None = None) -> Path:
    """Make the recording in the place of the source; returns where the source is then.

    Files that do not change are shared with it (hard links), so both together take little room.

    Raises:
        DfPolicyError: if the source is recorded to, or the disk refuses; it is then unchanged.
    """
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.edited")
    with _alone([path]):
        compose(new, plan.header, plan.pieces, progress, share=True)
        return put_in_place(new, path)


@contextmanager
def _alone(paths: Sequence[Path]) -> Iterator[None]:
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(durable.exclusive(path))
            if journal.waits(path):
                raise DfPolicyError(
                    f"an episode that was kept when a recorder was killed waits in {path}: "
                    f"python -m df_policy data repair {path} --in-place files it"
                )
        yield


def _named(store: EpisodeStore, number: int) -> str:
    return f"episode {number} (seed {store.seeds[number]}, {store.lengths[number]} frames)"


def _difference(old: Label, new: Label) -> str:
    names = [name for name in ("success", "note") if getattr(old, name) != getattr(new, name)]
    return ", ".join(f"{n} {getattr(old, n)!r} becomes {getattr(new, n)!r}" for n in names)


def _each_once(lists: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in lists for name in one))
