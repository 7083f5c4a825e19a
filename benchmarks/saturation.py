"""How many bits the weights of 8-bit rivals may have on this machine.

Without VNNI, x86 multiplies uint8 by int8 with ``vpmaddubsw``, which sums two
products in 16 bits and saturates at 32767. The largest sum is 2 x 255 x 127 =
64770 with weights of 8 bits, and 2 x 255 x 64 = 32640 with weights of 7. So
each engine computes the largest sums, and no list of instruction sets, which
an engine need not use, is asked.
"""
from functools import lru_cache

import numpy as np

from mmreact.packed.program import INPUT

CHANNELS, SIZE = 64, 4
#: Weights of the layers: pointwise, depthwise, full and fully connected.
LAYERS = ((CHANNELS, CHANNELS, 1, 1), (CHANNELS, 1, 2, 2),
          (CHANNELS, CHANNELS, 3, 3), (CHANNELS, CHANNELS))


def largest_sums() -> bytes:
    """An ONNX model of 8-bit layers whose values are all the largest.

    From ``(1, 64, 4, 4)`` ones to ``(1, 64)`` ones: activations are 255,
    weights 127, and a layer's scale divides by the number of its terms.
    """
    from onnx import TensorProto, helper, numpy_helper
    nodes, constants = [], dict(scale=np.float32(1 / 255), zero=np.uint8(0))

    def add(kind, *inputs, **attributes):
        name = f'{kind}_{len(nodes)}'
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def quantise(value):
        value = add('QuantizeLinear', value, 'scale', 'zero')
        return add('DequantizeLinear', value, 'scale', 'zero')

    def weight_of(shape):
        terms = int(np.prod(shape[1:]))
        values = (np.full(shape, 127, np.int8),
                  np.full(shape[0], 1 / (127 * terms),
                          np.float32), np.zeros(shape[0], np.int8))
        names = [f'{len(nodes)}_{i}' for i in range(len(values))]
        constants.update(zip(names, values))
        return add('DequantizeLinear', *names, axis=0)

    value = quantise(INPUT)
    for shape in LAYERS:
        weight = weight_of(shape)
        if len(shape) == 4:
            value = add('Conv', value, weight, group=CHANNELS // shape[1])
        else:
            flat = quantise(add('Flatten', value))
            value = add('Gemm', flat, weight, transB=1)
        value = quantise(value)
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, 'largest_sums', [
            helper.make_tensor_value_info(INPUT, real,
                                          (1, CHANNELS, SIZE, SIZE))
        ], [helper.make_tensor_value_info(value, real, (1, CHANNELS))],
        [numpy_helper.from_array(v, name) for name, v in constants.items()])
    opset = helper.make_opsetid('', 13)
    return helper.make_model(
        graph, opset_imports=[opset], ir_version=8).SerializeToString()


def run_onnxruntime(data: bytes, x: np.ndarray) -> np.ndarray:
    import onnxruntime
    session = onnxruntime.InferenceSession(
        data, providers=['CPUExecutionProvider'])
    return session.run(None, {INPUT: x})[0]


def run_openvino(data: bytes, x: np.ndarray) -> np.ndarray:
    from mmreact.packed.openvino import CompiledModel, shared_core
    return CompiledModel(shared_core().read_model(data), {})(x)[0]


RUNS = dict(onnxruntime=run_onnxruntime, openvino=run_openvino)


@lru_cache(maxsize=None)
def weight_bits(engine: str) -> int:
    """8, or 7 if an engine's largest sums of 8 bits come out wrong here.

    Args:
        engine (str): A key of :data:`RUNS`.
    """
    x = np.ones((1, CHANNELS, SIZE, SIZE), np.float32)
    y = RUNS[engine](largest_sums(), x)
    return 8 if np.allclose(y, 1, atol=0.01) else 7
