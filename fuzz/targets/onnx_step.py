"""Files that `d3pose export onnx` did not write, given to the one that runs them."""

from __future__ import annotations

from d3pose_core.runtime.onnx_step import FORMAT, OnnxStep
from fuzz.folder import written
from fuzz.target import Target


def seeds() -> list[bytes]:
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([node], "step", [info], [out]))
    plain = model.SerializeToString()
    for key, value in (("format", FORMAT), ("config", "{}")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return [plain, model.SerializeToString()]


def run(data: bytes) -> None:
    OnnxStep(written("step.onnx", data))


TARGET = Target(
    seeds, run, (b"null", b"[]", b"-1", b"variant", b"external_data", b"../../etc/passwd")
)
