"""TensorFlow Lite networks run by ai-edge-litert on the CPU."""

from __future__ import annotations

import struct
from copy import copy
from pathlib import Path

import numpy as np

from d3pose_core import model_files
from d3pose_core.errors import InputError


class TfliteNetwork:
    """One `.tflite` network with one input and outputs known by their shapes.

    Only what leads to these outputs is computed: BlazePose's landmark network spends nearly half
    its time on a segmentation mask that nobody here needs.

    `model`: name of a fetched file (see `d3pose_core.model_files`), or the path of the user's own.
    `output_shapes`: what the network must put out; InputError when it has no such output.

    Attributes:
        content: the `.tflite` file that runs, cut down to these outputs.
        input_buffer: float32 of the input's shape; fill it and call with it, rather than make an
            array for every call.
    """

    def __init__(
        self,
        model: str | Path,
        input_shape: tuple[int, ...],
        output_shapes: dict[str, tuple[int, ...]],
        num_threads: int = 2,
    ) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError(
                f"BlazePose needs ai-edge-litert ({error}); run `pip install ai-edge-litert`"
            ) from error
        if num_threads < 1:
            raise InputError(f"num_threads must be at least 1, not {num_threads}")
        content = _read(model)
        try:
            self.content = without_other_outputs(content, set(output_shapes.values()))
            self._interpreter = Interpreter(model_content=self.content, num_threads=num_threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, struct.error, IndexError, TypeError) as error:
            raise InputError(f"{model} is not a network that LiteRT can run: {error}") from error
        inputs = self._interpreter.get_input_details()
        shapes = [tuple(int(n) for n in detail["shape"]) for detail in inputs]
        if shapes != [input_shape]:
            raise InputError(f"{model} takes {shapes}; expected one input {list(input_shape)}")
        self._input = inputs[0]["index"]
        found = {
            tuple(int(n) for n in detail["shape"]): detail["index"]
            for detail in self._interpreter.get_output_details()
        }
        missing = {name: shape for name, shape in output_shapes.items() if shape not in found}
        if missing:
            raise InputError(f"{model} lacks the outputs {missing}; it has {sorted(found)}")
        self._outputs = {name: found[shape] for name, shape in output_shapes.items()}
        self.input_buffer = np.empty(input_shape, np.float32)

    def another(self, num_threads: int) -> TfliteNetwork:
        """The same network once more, to run beside this one: a tenth of the time of reading it again."""
        from ai_edge_litert.interpreter import Interpreter

        twin = copy(self)
        twin._interpreter = Interpreter(model_content=self.content, num_threads=num_threads)
        twin._interpreter.allocate_tensors()
        twin.input_buffer = np.empty_like(self.input_buffer)
        return twin

    def __call__(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """`tensor`: float32 of the input's shape. Returns copies of the outputs by name."""
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._outputs.items()}


def without_other_outputs(content: bytes, shapes: set[tuple[int, ...]]) -> bytes:
    """The network with only its outputs of these shapes, and the operators that lead to them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(content), 0))
    if len(model.subgraphs) != 1:
        return content
    graph = model.subgraphs[0]
    kept = [i for i in graph.outputs if tuple(int(n) for n in graph.tensors[i].shape) in shapes]
    if not kept or len(kept) == len(graph.outputs):
        return content
    needed = {int(i) for i in kept}
    operators = []
    for operator in reversed(graph.operators):
        if any(int(i) in needed for i in operator.outputs):
            operators.append(operator)
            needed.update(int(i) for i in operator.inputs if i >= 0)
    graph.operators = operators[::-1]
    graph.outputs = np.array(kept, np.int32)
    model.signatureDefs = None  # they name outputs that are gone
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read(model: str | Path) -> bytes:
    """Contents of a fetched file by name (checksum compared), or of any other file by path."""
    if str(model) in {entry.name for entry in model_files.MODEL_FILES}:
        return model_files.read_model(str(model))
    try:
        content = Path(model).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the network {str(model)!r}: {error.strerror}") from error
    if content[4:8] != b"TFL3":
        raise InputError(f"{str(model)!r} is not a TensorFlow Lite file ({len(content)} bytes)")
    return content
