"""A small transformer, built with onnx from seeded weights, for scenarios that embed text."""

from __future__ import annotations

import os
from typing import Any


def onnxruntime() -> Any:
    """Import onnxruntime without its telemetry.

    Since 1.29 it would open a database, start a thread, queue events that keep memory, and try to
    reach its maker's servers.

    References
    ----------
    ``onnxruntime/Privacy.md`` in the wheel.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def transformer(*, dim: int = 64, layers: int = 2, seed: int = 0) -> bytes:
    """Return an ONNX model that turns ``tokens`` (batch, length, dim) into ``vector`` (batch, dim).

    Parameters
    ----------
    dim, layers : int
        Width and depth; 64 and 2 make about 0.3 MB of weights.
    seed : int
        Of the weights.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(*shape: int) -> str:
        values = rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{len(weights)}"))
        return str(weights[-1].name)

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"v{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    x = "tokens"
    for _ in range(layers):
        query, key, value = (node("MatMul", x, weight(dim, dim)) for _ in range(3))
        scores = node("MatMul", query, node("Transpose", key, perm=[0, 2, 1]))
        attended = node("MatMul", node("Softmax", scores, axis=-1), value)
        x = node("LayerNormalization", node("Add", x, attended), weight(dim), axis=-1)
        hidden = node("Relu", node("MatMul", x, weight(dim, 4 * dim)))
        x = node("Add", x, node("MatMul", hidden, weight(4 * dim, dim)))
    axes = numpy_helper.from_array(np.array([1]), "length_axis")
    nodes.append(helper.make_node("ReduceMean", [x, axes.name], ["vector"], keepdims=0))

    def tensor(name: str, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "embedder",
        [tensor("tokens", "batch", "length", dim)],
        [tensor("vector", "batch", dim)],
        [*weights, axes],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    return bytes(model.SerializeToString())
