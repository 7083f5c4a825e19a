"""The table of what runs a packed program.

A backend is a class with a ``name``, made as ``cls(program, threads=None)``.
Its ``run(x, names)`` takes ``(N, C, H, W)`` float32 and returns the results of
the named operations (real ones float32, signs int8) as
:class:`~mmreact.packed.reference.ReferenceBackend` does; threads may call it
at the same time. It is copied and pickled as its arguments. In a forked child
it works, or raises an error at once.
"""
import importlib
import warnings
from typing import Dict, Optional

from .program import Program

#: Name -> (module, class, how to get it), in the order that "auto" tries.
BACKENDS: Dict[str, tuple] = dict(
    native=('.native', 'NativeBackend',
            'install a C++ compiler, then reinstall mmreact'),
    openvino=('.openvino', 'OpenVINOBackend',
              'pip install "mmreact[openvino]"'),
    reference=('.reference', 'ReferenceBackend', None))


class BackendMissingError(ImportError):
    """A backend whose package is not installed; the message has the cure."""


def create_backend(name: str, program: Program, threads: Optional[int] = None):
    """Make a backend for a program.

    Args:
        name (str): A key of ``BACKENDS``, or 'auto' for the first of them
            that is installed. If that is the reference, which is slow, a
            warning names the cure.
        program (Program): What it runs.
        threads (int, optional): How many it uses; all cores by default. The
            reference does not heed it.

    Raises:
        BackendMissingError: If the named backend is not installed.
        ValueError: For an unknown name or number of threads.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ValueError(f'threads is {threads!r}, not a positive number.')
    if name == 'auto':
        return _first(program, threads)
    if name not in BACKENDS:
        raise ValueError(f'Unknown backend {name!r}. Known backends: auto, '
                         f'{", ".join(BACKENDS)}.')
    module, cls, cure = BACKENDS[name]
    try:
        module = importlib.import_module(module, __package__)
        return getattr(module, cls)(program, threads)
    except ImportError as error:
        raise BackendMissingError(f'The backend {name!r} cannot be used '
                                  f'({error}). Get it: {cure}') from error


def _first(program: Program, threads: Optional[int]):
    cures = []
    for name, (_, _, cure) in BACKENDS.items():
        try:
            backend = create_backend(name, program, threads)
        except BackendMissingError:
            cures.append(cure)
            continue
        if cures and name == 'reference':
            warnings.warn(
                'No fast backend is installed: the reference backend is slow. '
                f'Get one: {" or: ".join(cures)}. To use the reference '
                "without this warning, say backend='reference'.",
                stacklevel=4)
        return backend
