"""One run of a graph of three processes: a source of images, the node, and a recorder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d3pose_core.cli.report import progress_bar
from d3pose_core.errors import InputError
from d3pose_core.output_names import own_folder
from d3pose_ros.bag import rescue
from d3pose_ros.demo.processes import Child, ProcessFailed, graph_environment, wait_until

START_TIMEOUT_S = 120.0
RECORD_TIMEOUT_S = 10.0

Command = tuple[str, str, Sequence[str]]  # a process' name, its module, its arguments


@dataclass
class Played:
    """What happened while the clip played."""

    stamps: dict[int, int] = field(default_factory=dict)  # ns -> index of the frame
    published_ns: dict[int, int] = field(default_factory=dict)  # stamp -> when it was published, ns
    published: int = 0
    received: int = 0
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def play_through(
    commands: tuple[Command, Command, Command],
    out: Path,
    bag: Path,
    people: str,
    frame_count: int,
    domain_id: int | None = None,
) -> Played:
    """Starts the node, the recorder and the source, plays once, and stops them in order.

    Args:
        commands: of the node, the recorder and the source, in that order.
        out: folder; the logs go to `logs` in it.
        bag: what the recorder writes.
        people: the topic of which the recorder must have every message.
        frame_count: of the source.
        domain_id: ROS domain; None: one of our own.
    """
    logs = out / "logs"
    own_folder(logs)
    try:
        bag.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"can't write to the output folder {out}: {error}") from error
    # Domains up to 101 keep out of Linux' ephemeral ports.
    domain = 1 + os.getpid() % 101 if domain_id is None else domain_id
    environment = graph_environment(domain, logs)
    names = [name for name, _, _ in commands]
    print(
        f"{names[2]}, {names[0]} and {names[1]} start as processes on ROS domain {domain}, this machine "
        f"only; their logs go to {logs}",
        flush=True,
    )
    children: list[Child] = []
    try:
        for name, module, arguments in commands:
            children.append(Child(name, module, arguments, environment))
        node, recorder, source = children
        _wait_until_connected(node, recorder, source)
        source.tell("play")
        played = _watch(children, people, frame_count)
    finally:
        # The node before the recorder, so that nothing is published that nobody writes down.
        for child in children:
            child.stop()
        if rescue(bag):
            print(f"the recorder did not finish; {bag} holds what it had written")
    return played


def _wait_until_connected(node: Child, recorder: Child, source: Child) -> None:
    """Until the recorder sees the node and the node sees the source: no first frame is lost."""
    ready: set[str] = set()

    def connected() -> bool:
        for child in (recorder, source):
            for event in child.events():
                if event["event"] == "ready":
                    ready.add(child.name)
                elif event["event"] == "error":
                    raise ProcessFailed(f"the node is {event['message']}")
        return len(ready) == 2

    children = [node, recorder, source]
    wait_until(connected, children, START_TIMEOUT_S, "the processes to find each other")


def _watch(children: Sequence[Child], people: str, frame_count: int) -> Played:
    """Shows the progress until the source is through and the recorder has what the node sent."""
    _, recorder, source = children
    played = Played()
    recorded: dict[str, int] = {}

    with progress_bar(frame_count, "play") as bar:

        def finished() -> bool:
            for event in recorder.events():
                recorded.update(event.get("counts", {}))
            for event in source.events():
                _note(played, event)
            bar.set_postfix_str(f"{recorded.get(people, 0)} processed", refresh=False)
            bar.update(len(played.stamps) - bar.n)
            return played.published > 0

        length_s = frame_count / 5  # generous: a machine that can't play at 5 frames/s is stuck
        wait_until(finished, children, 60 + length_s, "the end of the clip")
        bar.refresh()

    def written() -> bool:
        for event in recorder.events():
            recorded.update(event.get("counts", {}))
        return recorded.get(people, 0) >= played.processed

    wait_until(written, children[:2], RECORD_TIMEOUT_S, "the recorder to write what it received")
    return played


def _note(played: Played, event: dict[str, Any]) -> None:
    """Take in one event of the source."""
    if event["event"] == "frame":
        played.stamps[event["stamp_ns"]] = event["index"]
        # A bag's stamps are from when it was recorded; a camera publishes at once.
        played.published_ns[event["stamp_ns"]] = event.get("published_ns", event["stamp_ns"])
    elif event["event"] == "error":
        raise ProcessFailed(f"the node says: {event['message']}")
    elif event["event"] == "played":
        for name in ("published", "received", "processed", "dropped"):
            setattr(played, name, event[name])
