"""Who is whom: recovered people matched to reference people, in time and in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.evaluation.tracks import Tracks

# A reference sample this near in time is taken as it is.
SAME_TIME_S = 0.001


@dataclass(frozen=True)
class MatchingRule:
    """Two people may match while their roots are within `max_distance_m`; a reference is interpolated
    between samples that are at most `max_gap_s` apart."""

    max_distance_m: float = 1.0
    max_gap_s: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.max_distance_m < np.inf and 0 <= self.max_gap_s < np.inf):
            raise InputError(
                f"the greatest distance must be positive, the greatest gap not negative, both finite; got "
                f"{self.max_distance_m} m and {self.max_gap_s} s"
            )


@dataclass(frozen=True)
class ReferencePeople:
    """R rows: the reference at the times of recovered frames, a weighted mean of two of its rows."""

    frame: np.ndarray  # [R] index into the evaluated frames
    track_id: np.ndarray  # [R]
    before: np.ndarray  # [R] row of the reference
    after: np.ndarray  # [R]
    weight: np.ndarray  # [R] of `after`, 0..1

    def at(self, values: np.ndarray) -> np.ndarray:
        """A column of the reference [N, ...] at these rows [R, ...]."""
        weight = self.weight.reshape(-1, *[1] * (values.ndim - 1))
        mixed = (1 - weight) * values[self.before] + weight * values[self.after]
        return mixed.astype(values.dtype)


@dataclass(frozen=True)
class Switch:
    """From `time` on, a reference person is matched to another recovered track than before."""

    time: float
    reference_id: int
    old_id: int
    new_id: int


@dataclass(frozen=True)
class Matching:
    """The outcome: M matched pairs, in the order of time."""

    frame_times: np.ndarray  # [F] s, the frames evaluated
    reference: ReferencePeople
    recovered_row: np.ndarray  # [M] row of the recovered tracks
    reference_row: np.ndarray  # [M] row of `reference`
    missed: np.ndarray  # rows of `reference` that nobody was matched to
    extra: np.ndarray  # recovered rows in evaluated frames that no reference was matched to
    switches: tuple[Switch, ...]


def match(
    recovered: Tracks,
    reference: Tracks,
    recovered_roots: np.ndarray,
    reference_roots: np.ndarray,
    rule: MatchingRule,
) -> Matching:
    """Frame by frame, as CLEAR MOT does (Bernardin and Stiefelhagen, 2008): a pair that still fits is kept,
    then the nearest of the rest are matched.

    Frames are those of the recovered tracks during which the reference has samples.

    Args:
        recovered_roots, reference_roots: [N, 3], m, one per row.

    Raises:
        InputError: no frame in common.
    """
    covered = _covered(recovered.frame_times, reference.frame_times, rule.max_gap_s)
    frame_times = recovered.frame_times[covered]
    if not len(frame_times):
        raise InputError(
            f"no time in common: recovered {_span(recovered.frame_times)}, reference "
            f"{_span(reference.frame_times)}; both must count from the same moment (a bag's stamps, or "
            "the clip's start)"
        )
    people = _reference_at(reference, frame_times, rule.max_gap_s)
    roots = people.at(reference_roots)
    rows_of, reference_of = _by_frame(recovered, frame_times), _groups(people.frame)
    pairs: list[tuple[int, int]] = []
    switches: list[Switch] = []
    last: dict[int, int] = {}  # reference id -> recovered id
    nobody = np.empty(0, np.int64)
    for frame in range(len(frame_times)):
        ours, theirs = rows_of.get(frame, nobody), reference_of.get(frame, nobody)
        for row, other in _assign(
            *(ours, recovered.track_id[ours], recovered_roots[ours]),
            *(theirs, people.track_id[theirs], roots[theirs]),
            *(last, rule.max_distance_m),
        ):
            ours_id, their_id = int(recovered.track_id[row]), int(people.track_id[other])
            if last.get(their_id, ours_id) != ours_id:
                switches.append(
                    Switch(float(frame_times[frame]), their_id, last[their_id], ours_id)
                )
            last[their_id] = ours_id
            pairs.append((row, other))
    recovered_row, reference_row = np.array(pairs, np.int64).reshape(-1, 2).T
    seen = np.concatenate([nobody, *rows_of.values()])
    return Matching(
        *(frame_times, people, recovered_row, reference_row),
        missed=np.setdiff1d(np.arange(len(people.frame)), reference_row),
        extra=np.setdiff1d(seen, recovered_row),
        switches=tuple(switches),
    )


def _assign(
    ours: np.ndarray,
    our_ids: np.ndarray,
    our_roots: np.ndarray,
    theirs: np.ndarray,
    their_ids: np.ndarray,
    their_roots: np.ndarray,
    last: dict[int, int],
    max_distance_m: float,
) -> list[tuple[int, int]]:
    """Pairs (recovered row, reference row) of one frame."""
    distance = np.linalg.norm(our_roots[:, None] - their_roots[None], axis=-1)
    kept = np.array([[last.get(int(b)) == int(a) for b in their_ids] for a in our_ids], bool)
    # Those matched before come first, then the nearest.
    order = np.argsort(np.where(kept.reshape(distance.shape), distance - 1e6, distance), axis=None)
    pairs: list[tuple[int, int]] = []
    free_ours, free_theirs = set(range(len(ours))), set(range(len(theirs)))
    for i, j in zip(*np.unravel_index(order, distance.shape), strict=True):
        if i in free_ours and j in free_theirs and distance[i, j] <= max_distance_m:
            free_ours.remove(i)
            free_theirs.remove(j)
            pairs.append((int(ours[i]), int(theirs[j])))
    return sorted(pairs)


def _covered(times: np.ndarray, reference_times: np.ndarray, max_gap_s: float) -> np.ndarray:
    """Which times the reference has samples at, or around."""
    before, after, _ = _neighbours(reference_times, times)
    if not len(reference_times):
        return np.zeros(len(times), bool)
    near = np.minimum(abs(times - reference_times[before]), abs(times - reference_times[after]))
    inside = (reference_times[before] <= times) & (times <= reference_times[after])
    return (near <= SAME_TIME_S) | (
        inside & (reference_times[after] - reference_times[before] <= max_gap_s)
    )


def _reference_at(reference: Tracks, frame_times: np.ndarray, max_gap_s: float) -> ReferencePeople:
    """Everyone of the reference at each of the times."""
    parts = []
    for track_id in np.unique(reference.track_id):
        rows = np.flatnonzero(reference.track_id == track_id)
        rows = rows[np.argsort(reference.time[rows], kind="stable")]
        times = reference.time[rows]
        frames = np.flatnonzero(_covered(frame_times, times, max_gap_s))
        before, after, weight = _neighbours(times, frame_times[frames])
        parts.append((frames, np.full(len(frames), track_id), rows[before], rows[after], weight))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.empty(0)] * 5
    order = np.lexsort((columns[1], columns[0]))
    frame, ids, before, after = (column[order].astype(np.int64) for column in columns[:4])
    return ReferencePeople(frame, ids, before, after, columns[4][order].astype(np.float64))


def _neighbours(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each wanted time the index before it, the one after, and the weight of the latter.

    A sample within SAME_TIME_S is both.
    """
    last = max(len(times) - 1, 0)
    after = np.searchsorted(times, wanted).clip(0, last)
    before = (after - 1).clip(0)
    if not len(times):
        return before, after, np.zeros(len(wanted))
    before = np.where(times[last] < wanted, last, before)
    before = np.where(abs(times[after] - wanted) <= SAME_TIME_S, after, before)
    after = np.where(abs(times[before] - wanted) <= SAME_TIME_S, before, after)
    step = times[after] - times[before]
    weight = np.where(step > 0, (wanted - times[before]) / np.where(step > 0, step, 1), 0.0)
    return before, after, weight.clip(0, 1)


def nearest_frame(frame_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Index of the frame nearest to each time; `frame_times` increase."""
    after = np.searchsorted(frame_times, times).clip(0, len(frame_times) - 1)
    before = (after - 1).clip(0)
    nearer_before = abs(frame_times[before] - times) < abs(frame_times[after] - times)
    return np.where(nearer_before, before, after)


def _by_frame(tracks: Tracks, frame_times: np.ndarray) -> dict[int, np.ndarray]:
    """Rows by the index of their frame; rows of other times are left out."""
    frame = nearest_frame(frame_times, tracks.time)
    there = np.flatnonzero(abs(frame_times[frame] - tracks.time) <= SAME_TIME_S)
    groups = _groups(frame[there])
    return {index: there[rows] for index, rows in groups.items()}


def _groups(keys: np.ndarray) -> dict[int, np.ndarray]:
    """Key -> positions at which it stands."""
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=False))


def _span(times: np.ndarray) -> str:
    return f"{times[0]:.3f} to {times[-1]:.3f} s" if len(times) else "has no frames"
