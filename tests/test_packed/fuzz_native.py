"""Mutated packed files in the native backend: python fuzz_native.py NUMBER
[SEED [FOLDER]].

What the Python loader accepts the native one accepts too, and gives what the
reference gives; what the one refuses the other refuses. FOLDER is where the
compiled library is, if not beside its module: one that was built with
sanitizers ends the process when it finds anything.
"""
import ctypes
import json
import sys
from collections import Counter
from math import prod
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from fuzz_packed_files import mutations, valid_files
from hypothesis import HealthCheck, given, seed, settings

from mmreact.packed import load_packed, native
from mmreact.packed.reference import ReferenceBackend

LARGEST = 100_000


def load(path, kernel):
    """A model, or None and the reason why there is none."""
    lib = native.library()
    model = lib.mmr_load_file(str(path).encode(), kernel.encode(), 2)
    return (model, None) if model else (None, lib.mmr_error().decode())


def output_of(model):
    """Run a model on zeros; None if that is a lot of work."""
    lib = native.library()
    size = (ctypes.c_int64 * 3)()
    lib.mmr_input_shape(model, size)
    name = lib.mmr_output_name(model)
    sign, dims, shape = ctypes.c_int(), ctypes.c_int(), (ctypes.c_int64 * 4)()
    assert not lib.mmr_result_shape(model, name, 1, size[1], size[2],
                                    ctypes.byref(sign), shape,
                                    ctypes.byref(dims))
    if max(prod(size), prod(shape[:dims.value])) > LARGEST:
        return None
    x = np.zeros((1, *size), np.float32)
    y = np.empty(shape[:dims.value], np.int8 if sign.value else np.float32)
    failed = lib.mmr_run(model, x.ctypes.data, x.nbytes, 1, size[1], size[2],
                         1, native._array(ctypes.c_char_p, [name]),
                         native._array(ctypes.c_void_p, [y.ctypes.data]),
                         native._array(ctypes.c_size_t, [y.nbytes]))
    assert not failed, lib.mmr_error()
    return y


def is_small(program):
    values = program.infer(program.input_shape)
    return sum(prod(v.shape) for v in values.values()) <= LARGEST


def expected_output(program):
    """None if numbers are so large that sums in float32 may overflow."""
    x = np.zeros((1, *program.input_shape), np.float32)
    names = [op.name for op in program.operations]
    with np.errstate(all='ignore'):
        results = ReferenceBackend(program).run(x, names)
    small = all(np.abs(y).max() < 1e15 for y in results.values())
    return results[program.output] if small else None


def check(path, kernel, counts):
    program, refused = None, None
    try:
        program = load_packed(path).program
    except ValueError as error:
        refused = str(error)
    model, reason = load(path, kernel)
    counts[f'{"refused" if program is None else "valid"}, natively '
           f'{"refused" if model is None else "valid"}'] += 1
    assert (program is None) == (model is None), (refused, reason)
    if model is None:
        assert reason.startswith(f'Cannot load {path}: ')
        return
    try:
        if is_small(program):
            expected, got = expected_output(program), output_of(model)
            if expected is not None:
                counts['compared'] += 1
                agree = np.isclose(got, expected, 1e-3, 1e-3).mean()
                assert agree > 0.5, (got, expected)
    finally:
        native.library().mmr_free(model)


def main(number, start=0, folder=None):
    if folder:
        native.__file__ = str(Path(folder) / 'native.py')
    kernels = native.kernels()
    lib = native.library()
    lib.mmr_load_file.restype = ctypes.c_void_p
    lib.mmr_load_file.argtypes = [
        ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int
    ]
    lib.mmr_output_name.restype = ctypes.c_char_p
    pointer, number64 = ctypes.c_void_p, ctypes.c_int64
    lib.mmr_output_name.argtypes = [pointer]
    lib.mmr_input_shape.argtypes = [pointer, pointer]
    lib.mmr_result_shape.argtypes = [
        pointer, ctypes.c_char_p, *[number64] * 3, *[pointer] * 3
    ]
    counts = Counter()
    work = Path(mkdtemp(prefix='mmreact-fuzz-'))
    files = list(valid_files(work))

    @seed(start)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck))
    @given(mutations(files))
    def run(data):
        (work / 'net').write_bytes(data)
        check(work / 'net', kernels[len(data) % len(kernels)], counts)

    run()
    print(json.dumps(counts))


if __name__ == '__main__':
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
