"""The observer over the demo clip: ids, gaps, and time per frame by the number of people.

    python benchmarks/observe_clip.py [--max-people 5] [--every 1] [--threads 2] [--sheet sheet.png]

`--sheet` also draws landmarks and ids over sixteen frames, to be looked at.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from itertools import pairwise

import cv2
import numpy as np

from d3pose_core import model_files
from d3pose_core.observe import BlazePoseObserver, PersonObservation

FPS = 30.0
COLOURS = ((0, 0, 255), (0, 220, 0), (255, 128, 0), (255, 0, 255), (0, 220, 220))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-people", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="take each n-th frame: 3 is 10 Hz")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", help="write a picture here")
    args = parser.parse_args()

    observer = BlazePoseObserver(max_people=args.max_people, num_threads=args.threads)
    capture = cv2.VideoCapture(str(model_files.model_path("demo.mp4")))
    times: dict[int, list[tuple[float, float]]] = defaultdict(list)
    seen: dict[int, list[int]] = defaultdict(list)
    views = []
    for index in range(10**9):
        good, frame = capture.read()
        if not good:
            break
        if index % args.every:
            continue
        began = time.perf_counter(), time.process_time()
        people = observer(frame, index / FPS)
        ended = time.perf_counter(), time.process_time()
        times[len(people)].append((1e3 * (ended[0] - began[0]), 1e3 * (ended[1] - began[1])))
        for person in people:
            seen[person.track_id].append(index)
        if index % 15 == 0:
            views.append(drawn(frame, people, index))
    for track_id, frames in seen.items():
        gaps = [(a, b) for a, b in pairwise(frames) if b - a > args.every]
        print(f"id {track_id}: frames {frames[0]}..{frames[-1]}, {len(frames)} seen, gaps {gaps}")
    for count, values in sorted(times.items()):
        (wall, cpu), (slow, _) = np.percentile(values, [50, 95], axis=0)
        # On a busy machine only the processor time (of all threads) tells what a frame costs.
        print(
            f"{count} people: {len(values)} frames, {wall:.1f} ms median, {slow:.1f} ms p95, "
            f"{cpu:.1f} ms processor time"
        )
    if args.sheet:
        views += [np.zeros_like(views[0])] * (-len(views) % 4)
        rows = [np.hstack(views[i : i + 4]) for i in range(0, len(views), 4)]
        cv2.imwrite(args.sheet, np.vstack(rows))


def drawn(frame: np.ndarray, people: list[PersonObservation], index: int) -> np.ndarray:
    view = frame.copy()
    for person in people:
        colour = COLOURS[person.track_id % len(COLOURS)]
        for point, visibility in zip(person.keypoints, person.visibility, strict=True):
            filled = -1 if visibility > 0.5 else 1
            cv2.circle(view, tuple(int(v) for v in point), 6, colour, filled)
        corner = (int(person.box[0]), int(person.box[1]) - 8)
        cv2.putText(view, f"{person.track_id} {person.score:.2f}", corner, 0, 1.3, colour, 3)
    cv2.putText(view, str(index), (10, 45), 0, 1.5, (0, 0, 255), 3)
    return cv2.resize(view, (590, 331), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
