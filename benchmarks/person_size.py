"""How small a person the observer finds, and how soon: recall by height in a 640x480 image.

The demo clip's people are shrunk to a given height and put at random places of a 640x480 image
whose margins are a blurred copy of the scene. Each trial is a fresh observer on two seconds at 30
Hz. A person counts as found in a frame when somebody is reported whose landmarks lie within a
tenth of the person's height (median) of the landmarks found at full resolution. "Kept" is the
share of the frames since the first find, with the whole person in the image, in which the person
was found.

    python benchmarks/person_size.py [--still] [--trials 6]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import cv2
import numpy as np

from d3pose_core import model_files
from d3pose_core.observe import BlazePoseObserver, PersonObservation

WIDTH, HEIGHT = 640, 480
HEIGHTS = (300, 200, 150, 120, 100, 80, 60)  # px
FRAMES = 60
FPS = 30.0
# (first frame, id in a run at full resolution, height in px from the top of the head to the soles):
# a man seen from the front, the same turning away, a woman walking by, seen from the side.
SCENES = ((5, 0, 385), (70, 0, 385), (60, 1, 390), (110, 1, 390))


@dataclass
class Trial:
    """`strangers`: reported people, summed over frames, who are nobody's."""

    found: np.ndarray  # [FRAMES] bool
    inside: np.ndarray  # [FRAMES] bool: the whole person is in the image
    strangers: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6, help="placements for each scene")
    parser.add_argument("--still", action="store_true", help="freeze the scene: nothing moves")
    parser.add_argument("--smallest-person", type=float, default=None, help="as BlazePoseObserver")
    args = parser.parse_args()
    options = {} if args.smallest_person is None else {"smallest_person": args.smallest_person}

    frames = read_clip()
    reference = full_resolution(frames)
    still = ", nothing moves" if args.still else ""
    print(f"{len(SCENES) * args.trials} trials a row, {WIDTH}x{HEIGHT}, {FRAMES} frames{still}")
    print("height          found by frame            first find   kept   strangers     ms")
    print("  px  of image     1    10    30    60    median s      %    per frame   p50/p95")
    for height in HEIGHTS:
        rng = np.random.default_rng(height)
        trials: list = []
        times: list[float] = []
        for scene in SCENES:
            for _ in range(args.trials):
                observer = BlazePoseObserver(**options)
                trials.append(
                    run(observer, frames, reference, scene, height, args.still, rng, times)
                )
        print(row(height, trials, times), flush=True)


def read_clip() -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(model_files.model_path("demo.mp4")))
    frames: list[np.ndarray] = []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(frame)


def full_resolution(frames: list[np.ndarray]) -> list[list[PersonObservation]]:
    observer = BlazePoseObserver(max_people=2)
    return [observer(frame, index / FPS) for index, frame in enumerate(frames)]


def run(
    observer: BlazePoseObserver,
    frames: list[np.ndarray],
    reference: list[list[PersonObservation]],
    scene: tuple[int, int, int],
    height: int,
    still: bool,
    rng: np.random.Generator,
    times: list[float],
) -> Trial:
    start, track_id, full_height = scene
    scale = height / full_height
    target = {person.track_id: person for person in reference[start]}[track_id]
    # Where the person's middle is in the first frame; all of the person fits in, with some margin.
    reach = np.array([0.5, 0.6]) * height
    low, high = reach, np.array([WIDTH, HEIGHT]) - reach
    place = np.where(low < high, rng.uniform(np.minimum(low, high), np.maximum(low, high)), 0.0)
    place = np.where(low < high, place, np.array([WIDTH, HEIGHT]) / 2)
    middle = (target.box[:2] + target.box[2:]) / 2
    shift = place - scale * middle
    found, inside, strangers = np.zeros(FRAMES, bool), np.zeros(FRAMES, bool), 0
    for step in range(FRAMES):
        index = start if still else start + step
        image = shrunk(frames[index], scale, shift)
        began = time.perf_counter()
        people = observer(image, step / FPS)
        times.append(1e3 * (time.perf_counter() - began))
        known = {person.track_id: person.keypoints * scale + shift for person in reference[index]}
        hits = {
            name
            for name, keypoints in known.items()
            for person in people
            if median_distance(person.keypoints, keypoints) < 0.1 * height
        }
        found[step] = track_id in hits
        points = known.get(track_id, np.full((1, 2), -1.0))
        inside[step] = ((points >= 0) & (points < [WIDTH, HEIGHT])).all()
        strangers += max(0, len(people) - len(hits))
    return Trial(found, inside, strangers)


def shrunk(frame: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    """The frame at `scale`, moved by `shift` px, in front of a blurred copy of itself."""
    behind = cv2.resize(cv2.blur(cv2.resize(frame, (64, 48)), (15, 15)), (WIDTH, HEIGHT))
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    return cv2.warpAffine(
        small, matrix, (WIDTH, HEIGHT), dst=behind, borderMode=cv2.BORDER_TRANSPARENT
    )


def median_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(a - b, axis=1)))


def row(height: int, trials: list[Trial], times: list[float]) -> str:
    found = np.array([trial.found for trial in trials])
    by = [found[:, :count].any(axis=1).mean() for count in (1, 10, 30, 60)]
    first = [np.argmax(f) / FPS for f in found if f.any()]
    kept = [
        trial.found[np.argmax(trial.found) :][trial.inside[np.argmax(trial.found) :]].mean()
        for trial in trials
        if (trial.found & trial.inside).any()
    ]
    strangers = sum(trial.strangers for trial in trials) / found.size
    recall = " ".join(f"{100 * value:4.0f}%" for value in by)
    return (
        f"{height:4d}    {height / HEIGHT:5.2f}  {recall}      "
        f"{np.median(first) if first else np.nan:5.2f}    {100 * np.mean(kept or [0]):4.0f}"
        f"        {strangers:5.3f}   {np.median(times):4.1f}/{np.percentile(times, 95):4.1f}"
    )


if __name__ == "__main__":
    main()
