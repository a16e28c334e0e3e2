"""A module's calls of torch, recorded while it runs, as an ONNX graph.

torch's own exporter needs the packages onnx and onnxscript, and a minute for a network of this size. The
single-frame network calls three dozen plain functions, so that watching one run says all there is to say:
what each call made of what, and with which numbers. A second run with another number of people tells which
sizes depend on it.

A function that is not known here is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from d3pose_core.runtime.onnx_file import Attribute, Operator, Value, model_bytes

PEOPLE = "people"  # the graph's name for their number

# Functions that are one operator of the same arguments.
_PLAIN = {
    "add": "Add",
    "mul": "Mul",
    "sub": "Sub",
    "div": "Div",
    "maximum": "Max",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "__and__": "And",
    "__or__": "Or",
    "__invert__": "Not",
    "exp": "Exp",
    "gelu": "Gelu",
    "log": "Log",
    "matmul": "MatMul",
    "sqrt": "Sqrt",
    "sigmoid": "Sigmoid",
    "where": "Where",
}
_RESHAPES = ("reshape", "flatten", "squeeze", "unsqueeze")
_LAST = np.iinfo(np.int64).max  # as the end of a slice


def onnx_model(
    module: nn.Module,
    inputs: Callable[[int], dict[str, Tensor]],
    outputs: Sequence[str],
    metadata: dict[str, str],
) -> bytes:
    """`module` as an ONNX file, weights included, for any number of people.

    Args:
        module: called with the inputs in order; returns as many tensors as `outputs` has names. People are
            the first axis of each. What it does must not depend on the numbers in its inputs.
        inputs: named tensors of so many people.
        metadata: texts that the file carries.

    Raises:
        NotImplementedError: the module calls a function that is not known here.
    """
    two, three = inputs(2), inputs(3)
    calls, results = _record(module, two)
    other_calls, _ = _record(module, three)
    graph = _Graph(module, two)
    for (name, args, kwargs, made), (_, _, _, other) in zip(calls, other_calls, strict=True):
        graph.add(name, args, kwargs, _as_list(made), _as_list(other))
    graph.finish(results, outputs)
    return model_bytes(
        graph.operators,
        graph.constants,
        [_value(name, tensor) for name, tensor in two.items()],
        [_value(name, tensor) for name, tensor in zip(outputs, results, strict=True)],
        metadata,
    )


_Call = tuple[str, tuple, dict, Any]


class _Recorder(TorchFunctionMode):
    """The calls that make tensors, and what they made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        name = function.__name__
        # Not attributes such as a tensor's shape. What was made is kept, so that it is known by its id.
        if name != "__get__" and isinstance(result, (Tensor, tuple, list)):
            self.calls.append((name, args, kwargs or {}, result))
        return result


def _record(module: nn.Module, inputs: dict[str, Tensor]) -> tuple[list[_Call], tuple[Tensor, ...]]:
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        results = module(*inputs.values())
    return recorder.calls, results


class _Graph:
    """Operators for one call after the other."""

    def __init__(self, module: nn.Module, inputs: dict[str, Tensor]) -> None:
        self.operators: list[Operator] = []
        self.constants: dict[str, np.ndarray] = {}
        self._weights = {
            id(tensor): (name, tensor)
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        self._names = {id(tensor): name for name, tensor in inputs.items()}
        self._reshaped: dict[str, str] = {}  # name -> of what it is a reshape

    def add(self, name: str, args: tuple, kwargs: dict, made: list, other: list) -> None:
        """One call; `made` with two people, `other` with three."""
        if name in _PLAIN:
            self._operator(_PLAIN[name], [self._name(a) for a in args], made)
        elif name in _RESHAPES:
            self._reshape(args[0], made[0], other[0])
        else:
            method = getattr(self, "_" + name.strip("_"), None)
            if method is None:
                raise NotImplementedError(
                    f"no ONNX operator is known for torch's {name!r}: add it to {__name__}"
                )
            method(*args, made=made, other=other, **kwargs)

    def finish(self, results: Sequence[Tensor], names: Sequence[str]) -> None:
        """Name the outputs; leave out what none of them needs."""
        for tensor, name in zip(results, names, strict=True):
            self._emit("Identity", [self._name(tensor)], [name])
        needed, kept = set(names), []
        for operator in reversed(self.operators):
            if needed & set(operator.outputs):
                needed.update(operator.inputs)
                kept.append(operator)
        self.operators = kept[::-1]
        self.constants = {n: value for n, value in self.constants.items() if n in needed}

    def _name(self, value: Any) -> str:
        """The name of a tensor or number, which becomes a constant if need be."""
        if not isinstance(value, Tensor):
            return self._constant(np.float32(value))
        if id(value) not in self._names:
            if id(value) not in self._weights:
                raise NotImplementedError(
                    f"a tensor of shape {tuple(value.shape)} comes from none of the recorded calls"
                )
            name, weight = self._weights[id(value)]
            self._names[id(value)] = name
            self.constants[name] = weight.detach().cpu().numpy()
        return self._names[id(value)]

    def _constant(self, values: Any) -> str:
        array = np.asarray(values)
        name = f"{array.dtype.name}_{'_'.join(map(str, array.ravel())) or 'none'}"
        self.constants.setdefault(name, array)
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _operator(self, kind: str, inputs: list[str], made: list, **attributes: Attribute) -> None:
        """An operator whose outputs are the tensors `made`."""
        outputs = [f"{kind}_{len(self.operators)}_{i}" for i in range(len(made))]
        self._names |= {id(tensor): name for tensor, name in zip(made, outputs, strict=True)}
        self._emit(kind, inputs, outputs, **attributes)

    def _between(self, kind: str, inputs: list[str], **attributes: Attribute) -> str:
        """An operator whose output no tensor stands for; its name."""
        name = f"{kind}_{len(self.operators)}"
        self._emit(kind, inputs, [name], **attributes)
        return name

    def _emit(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Attribute):
        self.operators.append(Operator(kind, tuple(inputs), tuple(outputs), attributes))

    def _reshape(self, x: Tensor, made: Tensor, other: Tensor) -> None:
        self._reshape_name(self._name(x), made, other)

    def _reshape_name(self, name: str, made: Tensor, other: Tensor) -> None:
        source = self._reshaped.get(name, name)
        self._operator("Reshape", [source, self._sizes(made, other)], [made])
        self._reshaped[self._names[id(made)]] = source

    def _sizes(self, made: Tensor, other: Tensor) -> str:
        """Sizes of a tensor, -1 for the one that people change."""
        sizes = [a if a == b else -1 for a, b in zip(made.shape, other.shape, strict=True)]
        if sizes.count(-1) > 1:
            raise NotImplementedError(f"two sizes of {tuple(made.shape)} depend on the people")
        return self._integers(*sizes)

    def _addmm(self, more: Tensor, x: Tensor, weight: Tensor, made: list, other: list) -> None:
        self._operator("Gemm", [self._name(t) for t in (x, weight, more)], made)

    def _layer_norm(self, x, shape, weight=None, bias=None, eps=1e-5, *, made, other) -> None:
        if weight is None:
            inputs = [self._name(x), self._ones(shape[-1])]
        else:
            inputs = [self._name(t) for t in (x, weight, bias)]
        self._operator("LayerNormalization", inputs, made, axis=-1, epsilon=float(eps))

    def _ones(self, size: int) -> str:
        name = f"ones_{size}"
        self.constants[name] = np.ones(size, np.float32)
        return name

    def _softmax(self, x: Tensor, dim: int, made: list, other: list) -> None:
        self._operator("Softmax", [self._name(x)], made, axis=dim)

    def _cat(self, tensors: Sequence[Tensor], dim: int = 0, *, made: list, other: list) -> None:
        self._operator("Concat", [self._name(t) for t in tensors], made, axis=dim)

    def _stack(self, tensors: Sequence[Tensor], dim: int, made: list, other: list) -> None:
        axis = self._integers(dim)
        parts = [self._between("Unsqueeze", [self._name(t), axis]) for t in tensors]
        self._operator("Concat", parts, made, axis=dim)

    def _split(self, x: Tensor, size: int | list[int], dim: int = 0, *, made, other) -> None:
        sizes = [tensor.shape[dim] for tensor in made]
        if dim == 0 and x.shape[0] == 2:
            raise NotImplementedError("a split of the people")
        self._operator("Split", [self._name(x), self._integers(*sizes)], made, axis=dim)

    def _unbind(self, x: Tensor, dim: int, made: list, other: list) -> None:
        parts = [f"Split_{len(self.operators)}_{i}" for i in range(len(made))]
        self._emit("Split", [self._name(x), self._integers(*[1] * len(made))], parts, axis=dim)
        for part, tensor, another in zip(parts, made, other, strict=True):
            self._reshape_name(part, tensor, another)

    def _transpose(self, x: Tensor, a: int, b: int, made: list, other: list) -> None:
        axes = list(range(x.ndim))
        axes[a], axes[b] = axes[b], axes[a]
        self._permute(x, *axes, made=made, other=other)

    def _permute(self, x: Tensor, *axes: int, made: list, other: list) -> None:
        self._operator("Transpose", [self._name(x)], made, perm=axes)

    def _clamp(self, x, low=None, high=None, *, made, other, **named) -> None:
        bounds = named.get("min", low), named.get("max", high)
        inputs = [self._name(x), *("" if b is None else self._name(b) for b in bounds)]
        self._operator("Clip", inputs, made)

    def _clamp_min(self, x: Tensor, low: float, made: list, other: list) -> None:
        self._clamp(x, low, made=made, other=other)

    def _clamp_max(self, x: Tensor, high: float, made: list, other: list) -> None:
        self._clamp(x, None, high, made=made, other=other)

    def _normalize(self, x: Tensor, p=2.0, dim=1, eps=0.0, *, made, other, out=None) -> None:
        assert p == 2
        assert eps == 0
        self._operator("LpNormalization", [self._name(x)], made, axis=dim, p=2)

    def _sum(self, x: Tensor, dim: int, keepdim: bool = False, *, made: list, other: list) -> None:
        inputs = [self._name(x), self._integers(dim)]
        self._operator("ReduceSum", inputs, made, keepdims=int(keepdim))

    def _linalg_vector_norm(self, x, ord=2, dim=-1, keepdim=False, *, made, other) -> None:
        assert ord == 2
        inputs = [self._name(x), self._integers(dim)]
        self._operator("ReduceL2", inputs, made, keepdims=int(keepdim))

    def _rsqrt(self, x: Tensor, made: list, other: list) -> None:
        self._operator("Reciprocal", [self._between("Sqrt", [self._name(x)])], made)

    def _rdiv(self, x: Tensor, number: float, made: list, other: list) -> None:
        self._operator("Div", [self._name(number), self._name(x)], made)

    def _log1p(self, x: Tensor, made: list, other: list) -> None:
        self._operator("Log", [self._between("Add", [self._name(x), self._name(1.0)])], made)

    def _to(self, x: Tensor, dtype: torch.dtype, made: list, other: list) -> None:
        assert dtype == torch.float32
        self._operator("Cast", [self._name(x)], made, to=1)

    def _zeros_like(self, x: Tensor, made: list, other: list) -> None:
        self._operator("Sub", [self._name(x), self._name(x)], made)

    def _getitem(self, x: Tensor, index: Any, made: list, other: list) -> None:
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [i for i in index if not isinstance(i, Tensor)]:
            at = [i is Ellipsis for i in index].index(True)
            given = sum(i is not None and i is not Ellipsis for i in index)
            index = (*index[:at], *[slice(None)] * (x.ndim - given), *index[at + 1 :])
        name = self._name(x)
        starts, ends, axes = [], [], []
        gathers = []
        axis = 0
        for item in index:
            if item is None:
                continue
            if isinstance(item, Tensor):
                gathers.append((axis, self._name(item)))
            elif isinstance(item, int):
                starts.append(item)
                ends.append(item + 1 if item != -1 else _LAST)
                axes.append(axis)
            elif item != slice(None):
                assert item.step is None
                starts.append(item.start or 0)
                ends.append(_LAST if item.stop is None else item.stop)
                axes.append(axis)
            axis += 1
        for axis, order in gathers:
            name = self._between("Gather", [name, order], axis=axis)
        if axes:
            bounds = [self._integers(*values) for values in (starts, ends, axes)]
            name = self._between("Slice", [name, *bounds])
        if any(item is None or isinstance(item, int) for item in index):
            self._reshape_name(name, made[0], other[0])
        else:
            self._names[id(made[0])] = name


def _as_list(made: Any) -> list:
    return list(made) if isinstance(made, (tuple, list)) else [made]


def _value(name: str, tensor: Tensor) -> Value:
    dtype = "bool" if tensor.dtype == torch.bool else "float32"
    return Value(name, dtype, (PEOPLE, *tensor.shape[1:]))
