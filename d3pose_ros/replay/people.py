"""People messages of a bag -> tracks to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.evaluation.tracks import BodyParameters, Tracks
from d3pose_core.recovery import RecoveredPerson
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_ros.bag import PEOPLE_TYPE, read_bag
from d3pose_ros.messages import person_from_message
from d3pose_ros.replay.topics import list_topics, topic_table


def read_tracks(path: Path, topic: str | None = None) -> Tracks:
    """Everyone in the SmplPersonArray messages of a topic (None: the only such topic), by their stamps.

    Raises:
        InputError: no such topic, several to choose from, or messages in several frames of reference.
    """
    topics = list_topics(path)
    found = [
        each.name for each in topics if each.type == PEOPLE_TYPE and topic in (None, each.name)
    ]
    if len(found) != 1:
        what = "no" if not found else "more than one"
        raise InputError(
            f"{what} topic of {PEOPLE_TYPE}{f' called {topic}' if topic else ''} in {path}, which holds\n"
            f"{topic_table(topics)}"
        )
    times: list[float] = []
    rows: list[tuple[float, RecoveredPerson]] = []
    frames: set[str] = set()
    bodies: set[str] = set()
    for recorded in read_bag(path, (found[0],)):
        message = recorded.message
        time_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        times.append(time_s)
        frames.add(message.header.frame_id)
        bodies.add(message.body_model)
        for person in message.persons:
            rows.append((time_s, person_from_message(person)))
    if len(frames) > 1 or len(bodies) > 1:
        raise InputError(
            f"{found[0]} in {path} has messages in several frames ({', '.join(sorted(frames))}) or of "
            f"several bodies ({', '.join(sorted(bodies))}): evaluate them one by one"
        )

    def column(name: str, *shape: int) -> np.ndarray:
        values = [getattr(person, name) for _, person in rows]
        return np.array(values, np.float32).reshape(-1, *shape)

    parameters = BodyParameters(
        column("global_orient", 3),
        column("body_pose", 23, 3),
        column("betas", 10),
        column("transl", 3),
        "".join(bodies),
    )
    return Tracks(
        time=np.array([time_s for time_s, _ in rows], np.float64),
        track_id=np.array([person.track_id for _, person in rows], np.int64),
        joints=column("joints", 24, 3),
        joint_names=JOINT_NAMES,
        frame_times=np.unique(np.array(times, np.float64)),
        frame_id="".join(frames),
        parameters=parameters,
        joint_confidence=column("joint_confidence", 24),
    )
