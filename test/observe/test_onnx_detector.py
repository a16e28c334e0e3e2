"""A detector from an ONNX file, with tiny networks that put out given numbers."""

import builtins

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from d3pose_core.errors import InputError
from d3pose_core.observe import BlazePoseObserver, OnnxPersonDetector, PersonDetector
from d3pose_core.observe.roi import box_iou

ROWS = np.array(
    [
        [100, 150, 200, 400, 0.9, 0],
        [300, 150, 400, 400, 0.3, 0],  # not sure enough
        [10, 150, 60, 400, 0.8, 17],  # a horse
    ],
    np.float32,
)


def save(path, output: np.ndarray, input_shape=(1, 3, 320, 320), input_type=TensorProto.FLOAT):
    """A network whose output is `output` plus nothing of its input."""
    dims = [output.ndim, *output.shape]
    image = helper.make_tensor_value_info("images", input_type, input_shape)
    result = helper.make_tensor_value_info("output0", TensorProto.FLOAT, dims[1:])
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    constants = [
        numpy_helper.from_array(output.astype(np.float32), "rows"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    graph = helper.make_graph(nodes, "constant", [image], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def image() -> np.ndarray:
    return np.full((240, 640, 3), 128, np.uint8)  # letterboxed by 0.5 into rows 100 to 220 of 320


@pytest.mark.parametrize("rows", [ROWS, ROWS[None]])
def test_end_to_end_layout(tmp_path, image, rows):
    detector = OnnxPersonDetector(save(tmp_path / "net.onnx", rows))
    assert isinstance(detector, PersonDetector)
    [found] = detector.detect(image)
    # The box ends below the image, which stops at row 240.
    np.testing.assert_allclose(found.box, [200, (150 - 100) * 2, 400, 240])
    assert found.score == pytest.approx(0.9)
    assert found.roi is None


def raw_output(boxes: list[tuple[float, ...]], classes=80, anchors=100) -> np.ndarray:
    """[1, 4 + classes, anchors] with (cx, cy, w, h, class, score) at the first anchors."""
    output = np.zeros((1, 4 + classes, anchors), np.float32)
    for i, (cx, cy, w, h, which, score) in enumerate(boxes):
        output[0, :4, i] = cx, cy, w, h
        output[0, 4 + int(which), i] = score
    return output


def test_raw_layout_is_suppressed(tmp_path, image):
    output = raw_output(
        [
            (80, 160, 40, 80, 0, 0.6),
            (81, 161, 40, 80, 0, 0.95),
            (240, 160, 40, 80, 0, 0.7),
            (160, 160, 40, 80, 2, 0.9),
        ]
    )
    found = OnnxPersonDetector(save(tmp_path / "net.onnx", output)).detect(image)
    assert [round(d.score, 2) for d in found] == [0.95, 0.7]
    np.testing.assert_allclose(found[0].box, [122, 42, 202, 202])


def test_free_input_size_and_another_class(tmp_path, image):
    path = save(tmp_path / "net.onnx", ROWS, input_shape=(1, 3, "height", "width"))
    detector = OnnxPersonDetector(path, person_class=17, input_size=(480, 640))
    [found] = detector.detect(image)
    np.testing.assert_allclose(found.box, [10, 150 - 120, 60, 240])


def test_wrong_files_are_explained(tmp_path, image):
    with pytest.raises(InputError, match="there is no ONNX file"):
        OnnxPersonDetector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match="cannot load"):
        OnnxPersonDetector(tmp_path / "text.onnx")
    with pytest.raises(InputError, match=r"must take one float32 image"):
        OnnxPersonDetector(save(tmp_path / "flat.onnx", ROWS, input_shape=(1, 1, 320, 320)))
    with pytest.raises(InputError, match=r"uint8"):
        OnnxPersonDetector(save(tmp_path / "u8.onnx", ROWS, input_type=TensorProto.UINT8))
    detector = OnnxPersonDetector(save(tmp_path / "odd.onnx", np.zeros((1, 3, 7, 2))))
    with pytest.raises(InputError, match=r"\[1, 3, 7, 2\]; expected \[N, 6\]"):
        detector.detect(image)
    with pytest.raises(InputError, match="layout"):
        OnnxPersonDetector(tmp_path / "none.onnx", layout="yolo")


def test_without_onnxruntime_the_command_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        OnnxPersonDetector(tmp_path / "net.onnx")


def test_observer_tracks_who_the_file_finds(tmp_path, clip, clip_people):
    """Boxes only: the ROI is derived from the box, and BlazePose does the rest."""
    wanted = {p.track_id: p for p in clip_people[60]}
    # The person's box, as a detector that knows no landmarks gives it: head and feet included.
    rows = []
    for person in wanted.values():
        x0, y0, x1, y1 = person.box
        rows.append([x0 - 5, y0 - 15, x1 + 5, y1 + 8, 0.9, 0])
    height, width = clip[0].shape[:2]
    side = max(height, width)
    rows = np.array(rows, np.float32)
    rows[:, [1, 3]] += (side - height) // 2  # the letterbox's margin
    path = save(tmp_path / "net.onnx", rows, input_shape=(1, 3, side, side))
    observer = BlazePoseObserver(detector=OnnxPersonDetector(path))
    for step in range(8):
        people = observer(clip[60], step / 30)
    assert [p.track_id for p in people] == [0, 1]
    for person in people:
        boxes = np.stack([p.box for p in wanted.values()])
        assert box_iou(person.box, boxes).max() > 0.8
