"""What stages have to do, counted, against sums worked out by hand."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from d3pose_core import model_files
from d3pose_core.bench import work
from d3pose_core.bench.floor import Floor
from d3pose_core.bench.work import Work, joints_work, mesh_work, network_work, tflite_work
from d3pose_core.body import load_body
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model
from d3pose_core.observe.blazepose import BlazePoseLandmarker


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        # 4 x 4 places, 8 channels, each the sum of 3 x 3 x 2 products.
        ("CONV_2D", [(1, 4, 4, 2), (8, 3, 3, 2)], (1, 4, 4, 8), 4 * 4 * 8 * 18),
        ("DEPTHWISE_CONV_2D", [(1, 4, 4, 8), (1, 5, 5, 8)], (1, 4, 4, 8), 4 * 4 * 8 * 25),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 8), 4 * 4 * 3 * 8 * 4),
        ("FULLY_CONNECTED", [(1, 10), (7, 10)], (1, 7), 70),
        ("ADD", [(1, 4), (1, 4)], (1, 4), 0),
    ],
)
def test_products_of_one_operator(kind, inputs, output, expected):
    assert work._products(kind, inputs, output) == expected


def test_unknown_products_are_not_left_out_silently():
    with pytest.raises(InputError, match="LSTM"):
        work._products("LSTM", [(1, 4)], (1, 4))


def test_the_landmark_network_cut_down_needs_less_than_the_whole():
    whole = tflite_work(model_files.read_model("pose_landmark_full.tflite"))
    used = tflite_work(BlazePoseLandmarker(num_threads=1).content)
    assert 0.8 * whole.mflop < used.mflop < whole.mflop
    # Input and outputs in float32, and weights which the file has in float16.
    ends = 4e-6 * (256 * 256 * 3 + 195 + 1 + 64 * 64 * 39 + 117)
    assert used.megabytes - ends < 2 * 6.44


def test_the_sparse_detector_counts_what_it_stores():
    content = model_files.read_model("pose_detection.tflite")
    needed = tflite_work(content)
    # Half floats in the file, so that its weights are twice as large in memory.
    assert needed.megabytes < 2e-6 * len(content) + 4e-6 * (224 * 224 * 3 + 2254 * 13)
    assert 200 < needed.mflop < 400


def test_network_work_grows_with_people_and_weights_do_not():
    model = load_model("d3pose-landmarks")
    one, two = network_work(model, 1), network_work(model, 2)
    weights = 4e-6 * sum(p.numel() for p in model.parameters())
    state = 8e-6 * sum(t.numel() for t in model.initial_state(1).tensors())
    assert two.mflop == pytest.approx(2 * one.mflop)
    assert one.megabytes == pytest.approx(weights + state)
    assert two.megabytes == pytest.approx(weights + 2 * state)


def test_body_work_is_that_of_its_matrices():
    body = load_body("free-low")
    mesh, joints = mesh_work(body, 2), joints_work(body, 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        body.forward_matrices(
            torch.eye(3).expand(2, 24, 3, 3), torch.zeros(2, 10), torch.zeros(2, 3)
        )
    # Dense matrices of the pose would be 207 numbers for each coordinate; a twentieth of them is not zero.
    dense = 2e-6 * 2 * 3 * body.num_vertices * 207
    assert counter.get_total_flops() * 1e-6 - dense < mesh.mflop
    assert mesh.mflop < counter.get_total_flops() * 1e-6 - 0.9 * dense + 0.1
    assert joints.mflop < 0.02 * mesh.mflop


def test_the_floor_is_whatever_takes_longer():
    machine = Floor(threads=1, gflops=100.0, cached_gbps=50.0, memory_gbps=10.0)
    assert machine.time_ms(Work(200.0, 10.0)) == pytest.approx(2.0)
    assert machine.time_ms(Work(1.0, 10.0)) == pytest.approx(0.2)
    assert machine.time_ms(Work(1.0, 10.0), in_cache=False) == pytest.approx(1.0)
    assert Work(1.0, 2.0).times(3) == Work(3.0, 6.0)


def test_counting_leaves_the_network_as_it_was():
    model = load_model("d3pose-landmarks")
    before = [p.clone() for p in model.parameters()]
    network_work(model, 1)
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, new)
    assert np.isfinite(network_work(model, 3).mflop)
