"""What runs a network: a table of functions."""
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

import numpy as np

from mmreact.packed.benchmark import Run, make_run
from mmreact.packed.native import NativeBackend, kernels
from mmreact.packed.program import INPUT

from . import int8
from .models import Network
from .saturation import weight_bits


@dataclass
class Engine:
    """A network that is ready to run.

    Args:
        run (Callable): From ``(N, C, H, W)`` float32 to its output.
        layers (dict[str, int]): How its layers are run -> number of them,
            where that was looked at.
        weight_bits (int, optional): Of a network that was quantised.
    """
    run: Run
    layers: Dict[str, int] = field(default_factory=dict)
    weight_bits: Optional[int] = None


def native(network: Network, shape, threads, kernel=None) -> Engine:
    backend = NativeBackend(network.program, threads, kernel)
    output = network.program.output
    return Engine(lambda x: backend.run(x, [output])[output])


def existing(name):
    """One that tools/deployment/benchmark.py compares with, too."""

    def make(network: Network, shape, threads) -> Engine:
        return Engine(make_run(name, network.program, shape, threads))

    return make


def openvino_as_it_comes(network: Network, shape, threads) -> Engine:
    """The real network without a word about precision: it takes bf16 if the
    processor has it.
    """
    from mmreact.packed.openvino import shared_core
    model = shared_core().read_model(network.onnx)
    engine = compile_openvino(model, shape, threads)
    return Engine(lambda x: engine(x)[0],
                  dict(int8.openvino_primitives(engine.engine)))


def compile_openvino(model, shape, threads):
    """With OpenVINO's defaults, for one call at a time."""
    from mmreact.packed.openvino import CompiledModel
    model.reshape(list(shape))
    config = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_NUM_THREADS=threads)
    return CompiledModel(model, config)


def openvino_nncf(network: Network, shape, threads) -> Engine:
    bits = weight_bits('openvino')
    return int8_openvino(
        int8.quantise_nncf(network, bits), shape, threads, bits)


def openvino_qdq(network: Network, shape, threads) -> Engine:
    from mmreact.packed.openvino import shared_core
    bits = weight_bits('openvino')
    model = shared_core().read_model(int8.quantise_qdq(network, bits))
    return int8_openvino(model, shape, threads, bits)


def int8_openvino(model, shape, threads, bits) -> Engine:
    engine = compile_openvino(model, shape, threads)
    layers = int8.check_openvino(engine.engine)
    return Engine(lambda x: engine(x)[0], layers, bits)


def onnxruntime_qdq(network: Network, shape, threads) -> Engine:
    import onnxruntime
    bits = weight_bits('onnxruntime')
    data = int8.quantise_qdq(network, bits)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(data, options,
                                           ['CPUExecutionProvider'])
    return Engine(lambda x: session.run(None, {INPUT: x})[0],
                  int8.check_onnxruntime(data), bits)


def torch_run(model, threads) -> Engine:
    import torch

    def run(x: np.ndarray) -> np.ndarray:
        torch.set_num_threads(threads)  # of the process
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return Engine(run)


def torch_eager(network: Network, shape, threads) -> Engine:
    return torch_run(network.model, threads)


def torch_constant(network: Network, shape, threads) -> Engine:
    return torch_run(network.constant_model, threads)


def torch_compiled(network: Network, shape, threads) -> Engine:
    import torch
    import torch._inductor.config

    # A pool of compilers would take memory from what is measured.
    torch._inductor.config.compile_threads = 1
    return torch_run(torch.compile(network.constant_model), threads)


#: Name -> function of a network, the input's shape and the threads. Besides,
#: 'native:KERNEL' forces a kernel.
ENGINES: Dict[str, Callable[..., Engine]] = {
    'native': native,
    'openvino-binary': existing('openvino'),
    'onnxruntime-fp32': existing('onnxruntime'),
    'openvino-fp32': existing('openvino-fp32'),
    'openvino-default': openvino_as_it_comes,
    'onnxruntime-int8': onnxruntime_qdq,
    'openvino-int8': openvino_nncf,
    'openvino-int8-qdq': openvino_qdq,
    'torch': torch_eager,
    'torch-constant': torch_constant,
    'torch-compile': torch_compiled,
}


def create(name: str, network: Network, shape, threads: int) -> Engine:
    """Make an engine ready for inputs of a shape.

    Raises:
        ImportError: If a package is missing.
        FellBackError: If a quantised network does not run in 8 bits.
        ValueError: For an unknown name.
    """
    name, _, kernel = name.partition(':')
    if name not in ENGINES:
        raise ValueError(f'Unknown engine {name!r}. Known: '
                         f'{", ".join([*ENGINES, "native:KERNEL"])}.')
    if kernel:
        return native(network, shape, threads, kernel)
    return ENGINES[name](network, shape, threads)


def forced_kernels() -> List[str]:
    """The kernels that only run here if they are forced."""
    return [f'native:{kernel}' for kernel in kernels()[1:]]
