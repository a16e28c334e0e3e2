"""Nothing is written outside of an output folder, and nothing read outside of an input, by names in files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer

from d3pose_core import model_files
from d3pose_core.data.datasets import open_dataset
from d3pose_core.errors import InputError
from d3pose_core.output_names import file_name, own_folder, remove_folder
from d3pose_core.parts import Parts
from d3pose_core.recording import atomic_path
from d3pose_core.recordings import assign_folders
from d3pose_core.video import ClipReader
from d3pose_ros.bag import typestore
from d3pose_ros.replay.run import ReplayOptions, run_replay
from d3pose_ros.replay.topics import IMAGE_TYPE
from test.helpers import dataset_fixtures as fixtures

EVIL = (
    "../../escaped",
    "/escaped",
    "a/../../b",
    "..",
    ".",
    "",
    "x" * 400,
    "a\0b",
    "\N{SNOWMAN}/c",
    "C:\\x",
)


@given(st.one_of(st.sampled_from(EVIL), st.text(max_size=40)))
def test_any_name_makes_one_file_in_its_folder(name: str) -> None:
    made = file_name(name, ".npz")
    assert Path(made).name == made
    assert made.endswith(".npz")
    assert len(made.encode()) < 200
    assert "\0" not in made


@given(st.text(max_size=8), st.text(max_size=8))
def test_two_names_make_two_files(first: str, second: str) -> None:
    assert (file_name(first, "") == file_name(second, "")) == (first == second)


@pytest.mark.parametrize("name", EVIL)
def test_parts_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    parts = Parts(tmp_path / "out" / "parts", {}, resume=False)
    with atomic_path(parts.path(name)) as partial:
        partial.write_bytes(b"x")
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {parts.folder}


@given(st.lists(st.sampled_from(("a", "..", ".", "b.mcap", "")), min_size=1, max_size=5))
def test_recordings_have_folders_below_the_output(parts: list[str]) -> None:
    source, out = Path("/data", *parts), Path("/results/out")
    for root in (None, Path("/data")):
        try:
            (recording,) = assign_folders([source], out, root)
        except InputError:
            continue
        assert recording.folder.is_relative_to(out)
        assert ".." not in recording.folder.parts


def test_a_link_in_the_place_of_a_result_is_replaced(tmp_path: Path) -> None:
    """What it leads to stays as it was."""
    precious = tmp_path / "precious"
    precious.write_text("stays")
    result = tmp_path / "out" / "people.npz"
    result.parent.mkdir()
    result.symlink_to(precious)
    with atomic_path(result) as partial:
        partial.write_text("new")
    assert precious.read_text() == "stays"
    assert not result.is_symlink()


def test_a_link_in_the_place_of_a_folder_is_refused_or_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("stays")
    link = tmp_path / "out"
    link.symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        own_folder(link)
    Parts(link, {}, resume=False)  # starts anew: only the link goes
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    remove_folder(link)
    remove_folder(link)
    assert (elsewhere / "precious").read_text() == "stays"


def hostile_bag(path: Path, name: str) -> str:
    """A bag whose topic and frame are called `name`; returns the topic."""
    types = typestore()
    topic = f"/{name}"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, IMAGE_TYPE, typestore=types)
        for index in range(3):
            stamp = types.types["builtin_interfaces/msg/Time"](100, index * 33_000_000)
            header = types.types["std_msgs/msg/Header"](stamp, name)
            pixels = np.zeros(16 * 12 * 3, np.uint8)
            message = types.types[IMAGE_TYPE](header, 12, 16, "bgr8", 0, 48, pixels)
            writer.write(connection, index, types.serialize_cdr(message, IMAGE_TYPE))
    return topic


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a\0b", "<script>"])
def test_names_in_a_bag_lead_nowhere(tmp_path: Path, name: str) -> None:
    """Topics and frames may be called anything."""
    topic = hostile_bag(tmp_path / "bags" / "bag", name)
    out = tmp_path / "deep" / "out"
    options = ReplayOptions(
        tmp_path / "bags" / "bag", out, image=topic, body="free-low", hfov_deg=60.0
    )
    run_replay(options, say=lambda text: None)
    outside = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*") if p.is_file()}
    assert outside == {"bags", "deep"}
    assert {p.name for p in out.iterdir()} == {
        *("people.mcap", "people.npz", "overlay.mp4", "summary.json"),
    }


@pytest.mark.parametrize("name", ["../../../secret.jpg", "/etc/secret.jpg"])
def test_a_dataset_reads_no_images_of_others(tmp_path: Path, name: str) -> None:
    fixtures.write_human36m(tmp_path)
    path = next((tmp_path / "annotations").glob("*subject9_data.json"))
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    dataset = open_dataset("human36m", tmp_path, "test")
    with pytest.raises(InputError, match="names an image outside of"):
        [dataset.load(sequence) for sequence in dataset.names]


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what was asked of it."""
    import socket

    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(100))

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], heard
    server.close()


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "avi"])
@pytest.mark.parametrize("kind", ["hls", "hls of a file", "concat", "sdp"])
def test_a_clip_is_not_a_list_of_other_files(
    tmp_path: Path, listener: tuple[int, list[bytes]], kind: str, suffix: str
) -> None:
    port, heard = listener
    (tmp_path / "private.mp4").symlink_to(model_files.model_path("demo.mp4"))
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    text = {
        "hls": f"{head}http://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n",
        "hls of a file": f"{head}file://{tmp_path}/private.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile private.mp4\n",
        "sdp": f"v=0\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n",
    }[kind]
    clip = tmp_path / f"clip.{suffix}"
    clip.write_text(text)
    with pytest.raises(InputError, match="it is a text"):
        ClipReader(clip)
    assert heard == []
