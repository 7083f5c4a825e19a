"""Time packed networks, in turns with what they are compared with."""
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from statistics import median
from typing import Callable, Dict, List, Mapping, Sequence

import numpy as np

from .backends import BACKENDS, BackendMissingError, create_backend
from .program import INPUT, Program

Run = Callable[[np.ndarray], np.ndarray]

#: What 1-bit and 8-bit kernels use, of the flags in /proc/cpuinfo.
CPU_FLAGS = ('avx2', 'avx_vnni', 'avx512f', 'avx512bw', 'avx512_vnni',
             'avx512_bitalg', 'avx512_vpopcntdq', 'asimd', 'sve')
PACKAGES = ('mmreact', 'numpy', 'openvino', 'onnxruntime')
#: A contender is called for so many seconds before the next one.
TURN = 0.05


def onnxruntime_run(program: Program, shape: Sequence[int],
                    threads: int) -> Run:
    """The exported ONNX model in ONNX Runtime."""
    import onnxruntime

    from .onnx import build_onnx
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    data = build_onnx(program, [program.output]).SerializeToString()
    session = onnxruntime.InferenceSession(data, options,
                                           ['CPUExecutionProvider'])
    return lambda x: session.run(None, {INPUT: x})[0]


def openvino_run(program: Program, shape: Sequence[int], threads: int) -> Run:
    """The exported ONNX model in OpenVINO, in fp32."""
    from .onnx import build_onnx
    from .openvino import PRECISE, CompiledModel, shared_core
    data = build_onnx(program, [program.output]).SerializeToString()
    model = shared_core().read_model(data)
    model.reshape(list(shape))
    config = dict(
        PRECISE, INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT='LATENCY')
    compiled = CompiledModel(model, config)
    return lambda x: compiled(x)[0]


#: Networks in real numbers that packed ones are compared with.
REAL_ENGINES = {
    'onnxruntime': onnxruntime_run,
    'openvino-fp32': openvino_run,
}


def make_run(name: str, program: Program, shape: Sequence[int],
             threads: int) -> Run:
    """Make a function from an input of this shape to the program's output.

    Args:
        name (str): A backend or a key of :data:`REAL_ENGINES`.

    Raises:
        BackendMissingError: If a package is not installed.
        ValueError: For an unknown name.
    """
    if name in REAL_ENGINES:
        try:
            return REAL_ENGINES[name](program, shape, threads)
        except ImportError as error:
            raise BackendMissingError(
                f'{name} cannot be used ({error}). Get it: pip install '
                '"mmreact[onnx,openvino]"') from error
    if name not in BACKENDS:
        raise ValueError(f'Unknown {name!r}. Known: '
                         f'{", ".join([*BACKENDS, *REAL_ENGINES])}.')
    backend = create_backend(name, program, threads)
    return lambda x: backend.run(x, [program.output])[program.output]


def measure(
        runs: Mapping[str, Callable[[], object]],
        rounds: int = 20,
        clock: Callable[[],
                        float] = time.perf_counter) -> Dict[str, List[float]]:
    """Time functions in turns, after a call of each that does not count.

    Args:
        runs (Mapping): Functions by name.
        rounds (int): Turns of each.
        clock (Callable): Seconds; :func:`time.process_time` for those that
            the process computed.

    Returns:
        dict[str, list[float]]: For each the seconds of every call.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            run()  # The others have used the caches.
            end = clock() + TURN
            while True:
                start = clock()
                run()
                seconds[name].append(clock() - start)
                if clock() > end:
                    break
    return seconds


def statistics(seconds: Sequence[float]) -> dict:
    """The number of ``calls``, ``min_ms`` and ``median_ms`` of one."""
    return dict(
        calls=len(seconds),
        min_ms=1000 * min(seconds),
        median_ms=1000 * median(seconds))


def compare(program: Program,
            names: Sequence[str],
            shape: Sequence[int],
            threads: int = 1,
            rounds: int = 20) -> List[dict]:
    """Time a program on several engines, for one input at random.

    Args:
        program (Program): The network.
        names (Sequence[str]): Of :func:`make_run`; ratios are to the first.
        shape (Sequence[int]): ``(N, C, H, W)``.
        threads (int): For each engine.
        rounds (int): Turns of each engine.

    Returns:
        list[dict]: For each its ``name``, the number of timed ``calls``,
        ``min_ms`` and ``median_ms`` of a call, both divided by those of the
        first as ``min_ratio`` and ``median_ratio``, and the largest
        ``difference`` of its output to the first one's.
    """
    program.infer(shape[1:], shape[0])
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    runs = {name: make_run(name, program, shape, threads) for name in names}
    outputs = [run(x) for run in runs.values()]
    timed = measure(
        {
            name: (lambda run=run: run(x))
            for name, run in runs.items()
        }, rounds)
    rows = [
        dict(
            name=name,
            **statistics(seconds),
            difference=float(np.abs(y - outputs[0]).max()))
        for (name, seconds), y in zip(timed.items(), outputs)
    ]
    for row in rows:
        for key in ('min', 'median'):
            row[f'{key}_ratio'] = row[f'{key}_ms'] / rows[0][f'{key}_ms']
    return rows


def machine(packages: Sequence[str] = PACKAGES) -> dict:
    """Processor, its flags for 1-bit kernels, and versions of packages."""
    info = {}
    if Path('/proc/cpuinfo').exists():
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            key, _, value = line.partition(':')
            info.setdefault(key.strip(), value.strip())
    flags = (info.get('flags') or info.get('Features', '')).split()
    versions = dict(python=platform.python_version())
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(
        cpu=info.get('model name') or platform.processor()
        or platform.machine(),
        cpus=cpu_count(),
        flags=[flag for flag in CPU_FLAGS if flag in flags],
        versions=versions)
