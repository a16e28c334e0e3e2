"""Times of stages, and one real case."""

import numpy as np
import pytest

from d3pose_core.bench.crowd import crowd, read_man
from d3pose_core.bench.stages import Timing, run_case
from d3pose_core.observe import BlazePoseObserver
from d3pose_core.recovery import MeshRecovery


def test_a_stage_that_ran_in_some_frames():
    timing = Timing.of([0.0, 4.0, 0.0, 2.0])
    assert timing == Timing(p50=3.0, p95=3.9, mean=1.5, share=0.5)
    assert Timing.of([0.0, 0.0]).share == 0.0


class Listener:
    """Stands in for the stages of ROS."""

    def __init__(self):
        self.heads = []

    def people(self, people, body, stamp_s):
        self.heads.append(len(people))
        return {"messages": 0.25, "publish": 0.5}

    def markers(self, people, meshes, body, stamp_s):
        assert meshes.shape == (len(people), body.num_vertices, 3)
        return {"markers": 1.0}


def test_a_case_measures_what_is_tracked():
    recovery = MeshRecovery.from_pretrained(observer=BlazePoseObserver(max_people=3, num_threads=1))
    listener = Listener()
    case = run_case(recovery, crowd(read_man(8), 2, 640, 480), 1, 5, 30.0, listener)
    assert (case.people, case.width, case.height, case.threads, case.frames) == (2, 640, 480, 1, 5)
    assert case.tracked == 2.0
    assert listener.heads[-5:] == [2] * 5
    assert list(case.stages) == [
        *("decode", "detect", "landmarks", "network", "body", "messages", "publish")
    ]
    assert list(case.extra) == ["mesh", "markers"]
    assert case.extra["markers"].p50 == 1.0
    ours = [
        timing.mean for name, timing in case.stages.items() if name not in ("messages", "publish")
    ]
    assert 0.5 * case.end_to_end.mean < sum(ours) <= case.end_to_end.mean
    models = case.stages["landmarks"].mean + case.stages["detect"].mean
    assert case.added.mean == pytest.approx(case.end_to_end.mean - models, abs=1e-3)
    assert case.fps == pytest.approx(1e3 / case.end_to_end.mean)


def test_a_case_ends_after_its_seconds():
    recovery = MeshRecovery.from_pretrained(observer=BlazePoseObserver(max_people=2, num_threads=1))
    case = run_case(recovery, crowd(read_man(4), 1, 320, 240), 1, 10**6, 0.01)
    assert case.frames == 5
    assert "publish" not in case.stages
    assert np.isfinite(case.fps)
