"""Observations of a dataset's images: worked out once, resumable, the same by every engine."""

import inspect
import json
import pickle
import sys
import types

import cv2
import numpy as np
import pytest

from d3pose_core.cli.main import main
from d3pose_core.data import prepare
from d3pose_core.data.datasets import open_dataset
from d3pose_core.data.motion_shard import write_motion_shard
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.data.prepare import Task, run_tasks
from d3pose_core.engine import Outcome, Step
from d3pose_core.errors import InputError
from d3pose_core.model_files import model_path
from d3pose_core.observe import BlazePoseObserver
from test.helpers import dataset_fixtures as fixtures
from test.helpers.ray_here import need_ray
from test.helpers.stub_observer import make_stub


def write_images(root) -> None:
    """The images of the EMDB fixture: image i has brightness i."""
    folder = root / "P3" / "02_walk" / "images"
    folder.mkdir(parents=True)
    for i in range(fixtures.FRAMES):
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), np.full((24, 32, 3), 20 * i, np.uint8))


@pytest.fixture
def emdb(tmp_path):
    fixtures.write_emdb(tmp_path / "EMDB")
    write_images(tmp_path / "EMDB")
    return tmp_path / "EMDB"


def tasks(emdb, folder, names=("P3/02_walk",)):
    (sequence,) = open_dataset("emdb", emdb, "emdb1")
    times = tuple(sequence.times_s.tolist())
    rest = (sequence.image_paths, times, folder, "emdb", "emdb1", "stub", 5)
    return [Task(name, *rest) for name in names]


def outcomes(*given, **named) -> list[Outcome]:
    """Of `run_tasks`, without the steps."""
    return [event for event in run_tasks(*given, **named) if isinstance(event, Outcome)]


def assert_observed(folder, name="P3/02_walk"):
    frames = ObservationCache(folder, "emdb", "emdb1", "stub").load(name, fixtures.FRAMES)
    assert [[p.track_id for p in people] for people in frames] == [[], [20], [40], [60], [80]]
    person = frames[3][0]
    assert person.score == 0.75
    np.testing.assert_allclose(person.keypoints, 3 / 30, rtol=1e-6)
    np.testing.assert_array_equal(person.box, [0, 1, 2, 3])


def test_observations_come_back_as_they_were_made(emdb, tmp_path):
    events = list(run_tasks(tasks(emdb, tmp_path / "cache"), make_observer=make_stub))
    assert sum(event.amount for event in events if isinstance(event, Step)) == 5
    (done,) = (event for event in events if isinstance(event, Outcome))
    assert (done.task.sequence, done.result, done.error) == ("P3/02_walk", 5, "")
    assert_observed(tmp_path / "cache")


def test_several_processes_do_the_same(emdb, tmp_path):
    names = ("a", "b", "c")
    done = outcomes(tasks(emdb, tmp_path / "cache", names), processes=2, make_observer=make_stub)
    assert {(each.task.sequence, each.error) for each in done} == {(name, "") for name in names}
    for name in names:
        assert_observed(tmp_path / "cache", name)


class FakeRay(types.ModuleType):
    """The calls of Ray that we make, answered at once; what is sent is pickled, as Ray does."""

    def __init__(self):
        super().__init__("ray")
        self.running, self.log = False, []
        self.exceptions = types.SimpleNamespace(RayError=ConnectionError)

    def is_initialized(self):
        return self.running

    def init(self, **options):
        self.running = True
        self.log.append(("init", options))

    def shutdown(self):
        self.running = False
        self.log.append(("shutdown", {}))

    def remote(self, **options):
        def decorate(function):
            assert inspect.isfunction(function)  # Ray takes nothing else that can be called
            send = types.SimpleNamespace()
            send.remote = lambda *given: lambda: function(*pickle.loads(pickle.dumps(given)))
            return send

        return decorate

    def wait(self, waiting):
        return waiting[:1], waiting[1:]

    def get(self, ready):
        return ready()


def test_ray_gets_each_sequence_as_a_task_and_is_shut_down(emdb, tmp_path, monkeypatch):
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    names = ("a", "b")
    done = outcomes(tasks(emdb, tmp_path / "cache", names), "ray", 2, make_stub)
    assert {(each.task.sequence, each.error) for each in done} == {("a", ""), ("b", "")}
    for name in names:
        assert_observed(tmp_path / "cache", name)
    assert [what for what, _ in ray.log] == ["init", "shutdown"]
    assert ray.log[0][1]["num_cpus"] == 2
    # A cluster that is there already is used as it is, and left running.
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    list(run_tasks([], "ray", 2, make_stub))
    assert "num_cpus" not in ray.log[2][1]
    ray.running = True
    ray.log.clear()
    list(run_tasks(tasks(emdb, tmp_path / "cache"), "ray", 2, make_stub))
    assert ray.log == []


def test_a_real_ray_does_the_same(emdb, tmp_path):
    need_ray()
    (done,) = outcomes(tasks(emdb, tmp_path / "cache"), "ray", 1, make_stub)
    assert done.error == ""
    assert_observed(tmp_path / "cache")


def test_without_ray_its_engine_says_what_to_install(emdb, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"d3pose_ros\[cluster\]"):
        list(run_tasks(tasks(emdb, tmp_path), "ray"))


def test_a_broken_image_fails_its_sequence_only_and_leaves_no_shard(emdb, tmp_path):
    (emdb / "P3" / "02_walk" / "images" / "00003.jpg").write_bytes(b"broken")
    (done,) = outcomes(tasks(emdb, tmp_path / "cache"), make_observer=make_stub)
    assert "00003.jpg" in done.error
    assert not list((tmp_path / "cache").glob("*.npz"))


def test_the_command_goes_on_where_it_stopped(emdb, tmp_path, monkeypatch, capsys):
    made = []

    def make(task):
        made.append(task.sequence)
        return make_stub(task)

    monkeypatch.setattr("d3pose_core.cli.prepare._observer_name", lambda most, _: f"stub {most}")
    monkeypatch.setattr(prepare.run_tasks, "__defaults__", ("local", 1, make))
    argv = ["prepare", "emdb", "--root", str(emdb), "--out", str(tmp_path / "cache")]
    assert main(argv) == 0
    assert made == ["P3/02_walk"]
    assert main(argv) == 0
    assert made == ["P3/02_walk"]
    assert "1 of 1 sequences were done before" in capsys.readouterr().out
    next((tmp_path / "cache").glob("*.npz")).unlink()
    assert main(argv) == 0
    assert len(made) == 2
    index = json.loads((tmp_path / "cache" / "index.json").read_text())
    assert index["observer"] == "stub 5"
    # Another observer must not add to the same folder.
    assert main([*argv, "--max-people", "2"]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_observations_of_another_format_are_not_added_to(tmp_path):
    ObservationCache(tmp_path, "emdb", "emdb1", "stub").check()
    index = tmp_path / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"format": 1}))
    with pytest.raises(InputError, match=r"'format': 1.*delete it and prepare again"):
        ObservationCache(tmp_path, "emdb", "emdb1", "stub").check()
    with pytest.raises(InputError, match="delete it and prepare again"):
        ObservationCache.open(tmp_path)


def test_missing_images_are_named_before_anything_runs(emdb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("d3pose_core.cli.prepare._observer_name", lambda *_: "stub")
    (emdb / "P3" / "02_walk" / "images" / "00002.jpg").unlink()
    argv = ["prepare", "emdb", "--root", str(emdb), "--out", str(tmp_path / "cache")]
    assert main(argv) == 2
    assert "00002.jpg is missing (1 of 5" in capsys.readouterr().err


def test_the_real_observer_reports_the_same_from_the_cache(tmp_path):
    try:
        model_path("pose_landmark_full.tflite")
        model_path("pose_detection.tflite")
    except FileNotFoundError:
        pytest.skip("the model files are not here")
    path = tmp_path / "image.png"
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)
    task = Task("s", (path, path), (0.0, 0.1), tmp_path / "cache", "emdb", "emdb1", "b", 2)
    (done,) = outcomes([task])
    assert (done.result, done.error) == (2, "")
    observer = BlazePoseObserver(max_people=2, num_threads=1)
    frames = ObservationCache(tmp_path / "cache", "emdb", "emdb1", "b").load("s", 2)
    for time_s, cached in zip((0.0, 0.1), frames, strict=True):
        assert [p.track_id for p in cached] == [p.track_id for p in observer(image, time_s)]


def test_the_landmark_network_is_chosen_and_remembered(emdb, tmp_path, monkeypatch):
    """Observations by another network are not added to a folder, and each task is told which one."""
    told = []

    def run_tasks(tasks, engine, processes):
        told.extend(task.landmarks for task in tasks)
        return iter(())

    monkeypatch.setattr("d3pose_core.data.prepare.run_tasks", run_tasks)
    monkeypatch.setattr("d3pose_core.model_files.model_path", lambda name: name)
    argv = ["prepare", "emdb", "--root", str(emdb), "--out", str(tmp_path / "cache")]
    assert main([*argv, "--landmarks", "heavy"]) == 0
    assert told == ["heavy"]
    assert main([*argv, "--landmarks", "full"]) == 2
    assert told == ["heavy"]


def test_unknown_engines_are_errors(emdb, tmp_path):
    with pytest.raises(InputError, match="local, ray"):
        list(run_tasks(tasks(emdb, tmp_path), "slurm"))


def test_motion_capture_becomes_a_shard_that_training_reads(tmp_path):
    body = fixtures.BODY
    truth = fixtures.write_amass(tmp_path / "AMASS" / "CMU" / "1" / "a_poses.npz")
    frames = 121
    pose = np.zeros((frames, 156))
    pose[:, 2] = np.linspace(0, 1, frames)  # turns about the vertical, z
    transl = np.stack([np.zeros(frames), np.zeros(frames), np.full(frames, 0.9)], 1)
    np.savez(
        tmp_path / "AMASS" / "CMU" / "1" / "b_poses.npz",
        trans=transl,
        gender="male",
        mocap_framerate=120.0,
        betas=np.zeros(16),
        poses=pose,
    )
    assert len(truth.pose) < 10  # the first clip is too short and is left out
    from d3pose_core.body import load_body

    free = load_body("free-low")
    dataset = open_dataset("amass", tmp_path / "AMASS", "train", lambda gender: free)
    clips, seconds = write_motion_shard(tmp_path / "shard.npz", dataset, lambda gender: free)
    assert (clips, seconds) == (1, pytest.approx(31 / 30))
    clip = MotionLibrary([tmp_path / "shard.npz"], "train").clip(0)
    pelvis = (body.joint_regressor @ body.v_template)[0]
    # The world was z up, the shard's is y up: (x, y, z) -> (x, z, -y).
    at = transl[0] + pelvis
    np.testing.assert_allclose(clip.pelvis[0, 10], [at[0], at[2], -at[1]], atol=1e-4)
    # Half-way the body has turned by half a radian about the vertical.
    turn = clip.rotations[0, 15, 0] @ clip.rotations[0, 0, 0].T
    angle = np.arccos((float(turn.trace()) - 1) / 2)
    assert angle == pytest.approx(0.5, abs=2e-3)
    np.testing.assert_allclose(turn @ turn.new_tensor([0.0, 1, 0]), [0, 1, 0], atol=1e-4)


def test_an_interrupted_shard_goes_on(tmp_path):
    """The same shard as without the interruption, and no take read twice."""
    for number, take in enumerate("abc"):
        fixtures.write_bvh(
            tmp_path / "BVH" / "s" / f"{take}.bvh",
            np.full((60, len(fixtures.BVH_JOINTS), 3), 5.0 * number),
        )
    dataset = open_dataset("bvh", tmp_path / "BVH", "all")
    read, loaded = dataset._load, []

    def interrupted(name):
        loaded.append(name)
        if len(loaded) == 3:
            raise KeyboardInterrupt
        return read(name)

    dataset._load = interrupted
    with pytest.raises(KeyboardInterrupt):
        write_motion_shard(tmp_path / "out" / "shard.npz", dataset, None)
    write_motion_shard(tmp_path / "out" / "shard.npz", dataset, None)
    assert loaded == ["s/a", "s/b", "s/c", "s/c"]
    write_motion_shard(tmp_path / "whole.npz", dataset, None)
    assert (tmp_path / "out" / "shard.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shard.npz"]


def test_amass_without_a_body_says_what_it_needs(tmp_path, capsys):
    fixtures.write_amass(tmp_path / "AMASS" / "CMU" / "1" / "a_poses.npz")
    argv = ["prepare", "amass", "--root", str(tmp_path / "AMASS"), "--out", str(tmp_path / "out")]
    assert main(argv) == 2
    assert "--smpl" in capsys.readouterr().err
