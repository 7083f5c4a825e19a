"""The OpenVINO backend, on x86 processors with 1-bit convolutions."""
import os
from collections import OrderedDict, deque
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import openvino

from . import ops
from .bits import pack
from .forks import ForkGate
from .openvino_graph import build_model, check_supported
from .program import INPUT, Program
from .reference import ReferenceBackend
from .slices import Slices

#: With these every test passed; :func:`check_engine` decides about others.
CHECKED_VERSIONS = ('2025.4.1', '2026.2.1', '2026.4.1')
#: So many compiled models a backend keeps.
MODELS_KEPT = 16

#: Without reduced precision, and tiny numbers as they are: they have a sign.
PRECISE = dict(
    INFERENCE_PRECISION_HINT='f32', CPU_DENORMALS_OPTIMIZATION=False)
#: A fork waits for the calls of OpenVINO that other threads are in.
GATE = ForkGate()


def shared_core() -> openvino.Core:
    """The only one of this process, which is kept.

    Raises:
        RuntimeError: In a child that was forked after OpenVINO was used:
            OpenVINO would wait there for threads that only its parent has.
    """
    process, core = _core()
    if process != os.getpid():
        raise RuntimeError(
            'The backend openvino does not work in a process that was forked '
            "from one that used it. Use backend='native', which does, or "
            "start the process with multiprocessing.get_context('spawn').")
    return core


@lru_cache(maxsize=None)
def _core() -> Tuple[int, openvino.Core]:
    """The process that OpenVINO is used in, and the core.

    OpenVINO's CPU device gives the thread that first compiles with a core a
    stack for signal handlers, and puts back what it found when the core is
    deleted. Of two cores, the second finds, and later puts back, that of the
    first, though that may have been freed: the next signal, be it Ctrl+C or
    the end of a child, then kills the process (seen in 2026.4.1).
    """
    return os.getpid(), openvino.Core()


class OpenVINOBackend:
    """Runs a program on OpenVINO's CPU device.

    For each shape of the input and each set of results a model is compiled
    and kept. Threads may call it at the same time.

    Args:
        program (Program): What to run.
        threads (int, optional): Number of threads; all cores by default.
        hint (str): 'latency' of one call, or 'throughput' of many calls at
            the same time.

    Raises:
        ProgramError: If an operation cannot be built.
        RuntimeError: If this version of OpenVINO computes wrong results, or
            in a child that was forked after OpenVINO was used.
    """
    name = 'openvino'

    def __init__(self,
                 program: Program,
                 threads: Optional[int] = None,
                 hint: str = 'latency'):
        if hint not in ('latency', 'throughput'):
            raise ValueError(f"hint is {hint!r}, not 'latency' or "
                             "'throughput'.")
        for op in program.operations:
            check_supported(op)
        shared_core()
        self._arguments = (program, threads, hint)
        self.program = program
        self._slices = Slices(program, threads)
        self._signs = {
            name
            for name, value in program.infer(program.input_shape).items()
            if value.kind == 'sign'
        }
        self.one_bit = check_engine()
        # Pinned threads of two processes would share a core.
        self.config = dict(
            PRECISE, PERFORMANCE_HINT=hint.upper(), ENABLE_CPU_PINNING=False)
        if threads is not None:
            self.config['INFERENCE_NUM_THREADS'] = threads
        self._lock = Lock()
        self._models: OrderedDict = OrderedDict()

    def __reduce__(self):
        return type(self), self._arguments

    def run(self, x: np.ndarray,
            names: Iterable[str]) -> Dict[str, np.ndarray]:
        """Compute the results of the named operations.

        Args:
            x (ndarray): ``(N, C, H, W)`` float32, normalised.
            names (Iterable[str]): Operations.

        Raises:
            RuntimeError: In a child that was forked from the process that
                made this backend.
        """
        shared_core()
        return self._slices.run(self._run, x, sorted(set(names)))

    def _run(self, x: np.ndarray,
             names: Sequence[str]) -> Dict[str, np.ndarray]:
        with GATE:
            results = self.compiled(x.shape, names)(x)
        return {
            name: result.astype(np.int8) if name in self._signs else result
            for name, result in zip(names, results)
        }

    def compiled(self, shape: Sequence[int],
                 names: Sequence[str]) -> 'CompiledModel':
        """The model for this shape and these operations."""
        key = tuple(shape), tuple(names)
        with self._lock:
            if key not in self._models:
                model = build_model(self.program, *key, self.one_bit)
                self._models[key] = CompiledModel(model, self.config)
                if len(self._models) > MODELS_KEPT:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            return self._models[key]


class CompiledModel:
    """A compiled model that threads may call at the same time."""

    def __init__(self, model: openvino.Model, config: Mapping):
        self.engine = shared_core().compile_model(model, 'CPU', config)
        self._idle: deque = deque()

    def __call__(self, x: np.ndarray) -> Sequence[np.ndarray]:
        """Return the model's outputs in their order."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self.engine.create_infer_request()
        x = np.ascontiguousarray(x, np.float32)
        results = request.infer({0: x}, share_inputs=True)
        outputs = [results[i] for i in range(len(results))]
        self._idle.append(request)
        return outputs


@lru_cache(maxsize=None)
def check_engine() -> bool:
    """Compare this OpenVINO with the reference on a small program.

    Returns:
        bool: Whether it has a BinaryConvolution for this processor.

    Raises:
        RuntimeError: If a result is wrong.
    """
    program, x = sample_program()
    expected, = ReferenceBackend(program).run(x, [program.output]).values()
    for one_bit in (True, False):
        model = build_model(program, x.shape, [program.output], one_bit)
        try:
            compiled = CompiledModel(model, PRECISE)
        except RuntimeError:
            if one_bit:
                continue
            raise
        if not np.array_equal(compiled(x)[0], expected):
            raise RuntimeError(
                f'OpenVINO {openvino.__version__} computes a 1-bit network '
                'wrongly on this processor. Versions that were checked: '
                f'{", ".join(CHECKED_VERSIONS)}. Get one: pip install '
                f'openvino=={CHECKED_VERSIONS[-1]}')
        return one_bit


def sample_program() -> Tuple[Program, np.ndarray]:
    """Signs in all their forms, and an input that hits the thresholds.

    All numbers are small multiples of 1/2: every order of summation is exact.
    """
    rng = np.random.default_rng(0)

    def halves(*shape):
        return (rng.integers(-4, 5, shape) / 2).astype(np.float32)

    def sign(name, source):
        return ops.Sign(name, (source, ), halves(16),
                        rng.integers(0, 2, 16).astype(np.uint8))

    def conv(name, source, **kwargs):
        channels = 16 // kwargs.get('groups', 1)
        return ops.BinaryConv2d(name, (source, ),
                                pack(halves(16, 3, 3, channels)), halves(16),
                                halves(16), 16, (1, 1), (1, 1), **kwargs)

    program = Program((16, 6, 7), [
        sign('sign1', INPUT),
        conv('conv1', 'sign1'),
        ops.Add('add1', ('conv1', INPUT)),
        sign('sign2', 'add1'),
        conv('conv2', 'sign2'),
        conv('groups', 'sign2', groups=2),
        ops.Add('add2', ('conv2', 'groups')),
        ops.RPReLU('rprelu', ('add2', ), *halves(3, 16)),
    ], 'rprelu')
    return program, halves(2, *program.input_shape)


def export_openvino(program: Program,
                    path: Union[str, Path],
                    batch: int = 1,
                    metadata: Optional[Mapping[str, str]] = None) -> int:
    """Write a program as OpenVINO IR: an ``.xml`` and a ``.bin`` file.

    The input has the program's shape. Convolutions that OpenVINO computes on
    bits keep 1-bit weights, which its CPU device on x86 alone can run. It must
    be told ``INFERENCE_PRECISION_HINT='f32'`` when it compiles the model, or
    it computes in bf16 on some processors, which turns signs.

    Args:
        program (Program): What to write.
        path (str | Path): ``*.xml``; its folder is made if it does not exist.
        batch (int): Number of images.
        metadata (dict[str, str], optional): Kept in the file as the runtime
            information ``mmreact``.

    Returns:
        int: Number of bytes of both files.

    Raises:
        ProgramError: If an operation cannot be built.
        ValueError: If the file is not called ``*.xml``.
        OSError: If it cannot be written.
    """
    path = Path(path)
    if path.suffix != '.xml':
        raise ValueError(f'{path} does not end with .xml.')
    model = build_model(program, (batch, *program.input_shape),
                        [program.output])
    for key, value in (metadata or {}).items():
        model.set_rt_info(value, ['mmreact', key])
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='.', dir=path.parent) as folder:
        written = Path(folder, path.name)
        openvino.save_model(model, written, compress_to_fp16=False)
        files = [written.with_suffix('.bin'), written]
        size = sum(file.stat().st_size for file in files)
        for file in files:
            file.replace(path.with_name(file.name))
    return size
