"""8-bit rivals, and the proof that they run in 8 bits.

Weights are quantised per output channel and symmetric, activations per tensor,
from a few images at random: what is timed does not depend on the images. Where
sums of 8-bit products saturate (see :mod:`.saturation`), weights have 7 bits
in the same bytes.
"""
from collections import Counter
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict

from mmreact.packed.program import INPUT

from .models import Network

#: Images that ranges of values are taken from.
CALIBRATION_IMAGES = 8
#: What is counted in ONNX Runtime's optimized graph.
ORT_INT8 = ('QLinearConv', 'QLinearMatMul', 'QGemm', 'MatMulIntegerToFloat')
ORT_REAL = ('Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul')
OPENVINO_LAYERS = ('Convolution', 'FullyConnected', 'MatMul')


class FellBackError(RuntimeError):
    """A network that was quantised and does not run in 8 bits."""


@lru_cache(maxsize=None)
def quantise_qdq(network: Network, weight_bits: int) -> bytes:
    """An ONNX model with QuantizeLinear and DequantizeLinear.

    Activations are unsigned: VNNI multiplies uint8 by int8, and ONNX Runtime
    left convolutions real where both were signed.

    Args:
        network (Network): What to quantise.
        weight_bits (int): 8 or 7, see :func:`.saturation.weight_bits`.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):

        def __init__(self):
            self.images = iter(network.images(CALIBRATION_IMAGES, seed=2))

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {INPUT: image[None]}

    with TemporaryDirectory() as folder:
        real, made, quantised = (
            Path(folder, f'{name}.onnx')
            for name in ('real', 'made', 'quantised'))
        real.write_bytes(network.onnx)
        quant_pre_process(real, made)
        quantization.quantize_static(
            made,
            quantised,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=weight_bits == 7,
            extra_options=dict(WeightSymmetric=True))
        return quantised.read_bytes()


def quantise_nncf(network: Network, weight_bits: int):
    """OpenVINO's model, by its own quantiser.

    With 8 bits it still gives 7 to the first layer, its default.
    """
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters, OverflowFix)
    from openvino.passes import ConstantFolding, Manager

    from mmreact.packed.openvino import shared_core
    nncf.set_log_level(30)
    model = shared_core().read_model(network.onnx)
    model.reshape([1, *network.shape])
    # Else it sees no constant weights in depthwise convolutions, and leaves
    # these real.
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    images = network.images(CALIBRATION_IMAGES, seed=2)
    dataset = nncf.Dataset([image[None] for image in images])
    fix = OverflowFix.ENABLE if weight_bits == 7 else OverflowFix.FIRST_LAYER
    return nncf.quantize(
        model,
        dataset,
        subset_size=CALIBRATION_IMAGES,
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix))


def check_onnxruntime(data: bytes) -> Dict[str, int]:
    """Count the layers of ONNX Runtime's optimized graph.

    Returns:
        dict[str, int]: Type of node -> number.

    Raises:
        FellBackError: If one is real.
    """
    import onnx
    import onnxruntime
    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder, 'optimized.onnx'))
        options.log_severity_level = 3  # It warns that it fits this machine.
        onnxruntime.InferenceSession(data, options, ['CPUExecutionProvider'])
        graph = onnx.load(options.optimized_model_filepath).graph
    return _count(
        'ONNX Runtime',
        [(node.op_type, node.op_type in ORT_INT8)
         for node in graph.node if node.op_type in (*ORT_INT8, *ORT_REAL)])


def check_openvino(engine) -> Dict[str, int]:
    """Count the primitives that a compiled model runs its layers with.

    Raises:
        FellBackError: If one is real.
    """
    return _count('OpenVINO',
                  [(name, name.lower().endswith('_i8'))
                   for name in openvino_primitives(engine).elements()])


def openvino_primitives(engine) -> Counter:
    """Primitive of each layer of a compiled model -> number."""
    infos = [op.get_rt_info() for op in engine.get_runtime_model().get_ops()]
    return Counter(info['primitiveType'].astype(str) for info in infos
                   if info['layerType'].astype(str) in OPENVINO_LAYERS)


def _count(engine: str, layers) -> Dict[str, int]:
    real = Counter(name for name, int8 in layers if not int8)
    if real or not layers:
        raise FellBackError(
            f'{engine} runs {sum(real.values())} of {len(layers)} quantised '
            f'layers in real numbers ({dict(real)}): this is not the rival '
            'that was to be measured. Look at its version and at how the '
            'network was quantised.')
    return dict(Counter(name for name, _ in layers))
