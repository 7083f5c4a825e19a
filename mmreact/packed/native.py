"""The native backend: the C++ engine of ``mmreact/csrc``, by ctypes.

Where the reference rounds a sum once, the engine rounds each addition, so
real results agree up to the rounding of float32. Accumulators of signs are
integers and exact. Whatever the kernel and the number of threads, the same
file and input give the same bits.
"""
import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterable, List, Optional

import numpy as np

from .file import PackedFile, to_bytes
from .ops import Value
from .program import Program
from .slices import Slices

_ABI_VERSION = 1
_CURE = ('It is built when mmreact is installed, if there is a C++ compiler: '
         'install one (Debian and Ubuntu: apt install g++), then reinstall '
         'mmreact (in a checkout: pip install --no-deps '
         '--no-build-isolation -e .).')

_POINTERS = ctypes.POINTER(ctypes.c_void_p)
_SIZES = ctypes.POINTER(ctypes.c_size_t)
_NAMES = ctypes.POINTER(ctypes.c_char_p)
#: Function of mmreact.h -> (type of the result, *types of the arguments)
_FUNCTIONS = dict(
    mmr_error=(ctypes.c_char_p, ),
    mmr_kernel_name=(ctypes.c_char_p, ctypes.c_int),
    mmr_kernel_supported=(ctypes.c_int, ctypes.c_int),
    mmr_load_buffer=(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                     ctypes.c_char_p, ctypes.c_int),
    mmr_free=(None, ctypes.c_void_p),
    mmr_kernel=(ctypes.c_char_p, ctypes.c_void_p),
    mmr_run=(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
             ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int,
             _NAMES, _POINTERS, _SIZES))


@lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """Load the compiled library.

    Raises:
        ImportError: If it was not built, or does not fit; with the cure.
    """
    files = sorted(Path(__file__).parent.glob('_native*.so'))
    if not files:
        raise ImportError(f'The compiled library is missing. {_CURE}')
    try:
        found = ctypes.CDLL(str(files[0]))
        version = found.mmr_abi_version()
    except (OSError, AttributeError) as error:
        raise ImportError(f'The compiled library cannot be loaded: {error}. '
                          f'{_CURE}') from error
    if version != _ABI_VERSION:
        raise ImportError(f'The compiled library {files[0]} is of another '
                          f'version of mmreact. {_CURE}')
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype = result
        function.argtypes = arguments
    return found


def kernels() -> List[str]:
    """The kernels that this processor can run, the fastest first."""
    lib, names = library(), []
    while name := lib.mmr_kernel_name(len(names)):
        names.append(name.decode())
    return [n for i, n in enumerate(names) if lib.mmr_kernel_supported(i)]


def _array(kind, values: list) -> ctypes.Array:
    return (kind * len(values))(*values)


class NativeBackend:
    """Runs a program with the compiled engine.

    It plans when it meets a shape of input, or a list of results, for the
    first time. Threads may call it at the same time and then wait for each
    other; the GIL is released meanwhile. After a fork the child may use it
    too, with one thread. A copy or a pickle holds the program and the
    arguments, and is loaded again.

    Args:
        program (Program): What it runs.
        threads (int, optional): How many it uses; by default as many as there
            are cores that this process may use.
        kernel (str, optional): One of :func:`kernels`. Defaults to that in
            the environment variable ``MMREACT_KERNEL`` or, if there is none,
            the fastest.

    Raises:
        ImportError: If the library was not built; with the cure.
        ValueError: If there is no such kernel.
    """
    name = 'native'

    def __init__(self,
                 program: Program,
                 threads: Optional[int] = None,
                 kernel: Optional[str] = None):
        self._model = None
        self._arguments = (program, threads, kernel)
        self._library = library()
        self.program = program
        # Inferring takes a good part of the time of a small network.
        self._infer = lru_cache(
            maxsize=64)(lambda shape: program.infer(shape[1:], shape[0]))
        if threads is None:
            threads = len(os.sched_getaffinity(0))
        self._slices = Slices(program, threads)
        data = to_bytes(PackedFile(program))
        self._model = self._library.mmr_load_buffer(data, len(data), kernel
                                                    and kernel.encode(),
                                                    threads)
        if not self._model:
            raise ValueError(self._error())
        self.kernel = self._library.mmr_kernel(self._model).decode()

    def __reduce__(self):
        return type(self), self._arguments

    def __del__(self):
        if self._model:
            self._library.mmr_free(self._model)

    def _error(self) -> str:
        reason = self._library.mmr_error().decode()
        return f'The native backend fails: {reason}.'

    @staticmethod
    def _result(value: Value) -> np.ndarray:
        kind = np.int8 if value.kind == 'sign' else np.float32
        return np.empty(value.shape, kind)

    def run(self, x: np.ndarray,
            names: Iterable[str]) -> Dict[str, np.ndarray]:
        """Compute the results of the named operations.

        Args:
            x (ndarray): ``(N, C, H, W)`` float32, normalised.
            names (Iterable[str]): Operations.

        Returns:
            dict[str, ndarray]: Real values float32, signs int8.
        """
        x = np.ascontiguousarray(x, np.float32)
        values = self._infer(x.shape)
        results = {name: self._result(values[name]) for name in names}
        for images in self._slices(x.shape):
            self._run(x[images], {k: y[images] for k, y in results.items()})
        return results

    def _run(self, x: np.ndarray, results: Dict[str, np.ndarray]) -> None:
        arrays = results.values()
        failed = self._library.mmr_run(
            self._model, x.ctypes.data, x.nbytes, x.shape[0], *x.shape[2:],
            len(results), _array(ctypes.c_char_p,
                                 [n.encode() for n in results]),
            _array(ctypes.c_void_p, [a.ctypes.data for a in arrays]),
            _array(ctypes.c_size_t, [a.nbytes for a in arrays]))
        if failed:
            raise RuntimeError(self._error())
