"""A graph of ONNX with two outputs, which answers a dictionary of arrays."""

import sys

import mlflow
import numpy as np
from onnx import TensorProto, helper, numpy_helper

weights = np.random.default_rng(7).normal(size=(3, 4)).astype(np.float32)
graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=0),
    ],
    "scores",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
    [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 4]),
        helper.make_tensor_value_info("best", TensorProto.FLOAT, [None]),
    ],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
example = np.zeros((2, 3), dtype=np.float32)
answer = {"scores": example @ weights, "best": (example @ weights).max(axis=1)}
signature = mlflow.models.infer_signature(example, answer)
mlflow.onnx.log_model(
    model, name="model", signature=signature, input_example=example, registered_model_name=sys.argv[1]
)
