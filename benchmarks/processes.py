"""Measure fresh processes that do nothing but run a network.

Loading, the first call, later calls, and resident memory. Each process is
started anew and imports what it needs: for packed files no torch.
"""
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from . import tables
from .harness import (add_skip_missing, document, finish, load_average,
                      missing, parser, run_fresh, say)

PACKED = 'ReActNet-A', 'ReAct-ResNet-18'
RIVAL = 'MobileNetV1 1.0'


def start(loader: str, path, size: int) -> dict:
    """Run :mod:`.fresh_process` on one thread."""
    return run_fresh('fresh_process', loader, path, size, OMP_NUM_THREADS='1')


def write_packed(folder: Path, size: int):
    """Yield ``(label, loader, file)`` of packed networks."""
    from mmreact.packed import PackedFile, save_packed

    from .models import Network
    yield 'python and numpy alone', 'nothing', ''
    for name in PACKED:
        packed = PackedFile(Network(name, (3, size, size)).program)
        for real in ('fp32', 'fp16'):
            path = folder / f'{name}-{real}.safetensors'
            save_packed(path, packed, real)
            yield f'{name}, real parts in {real}', 'native', path


def write_qdq(folder: Path, size: int):
    """The rival in ONNX Runtime."""
    from .int8 import quantise_qdq
    from .models import Network
    from .saturation import weight_bits
    path, bits = folder / 'qdq.onnx', weight_bits('onnxruntime')
    path.write_bytes(quantise_qdq(Network(RIVAL, (3, size, size)), bits))
    yield rival(bits), 'onnxruntime', path


def write_nncf(folder: Path, size: int):
    """The rival in OpenVINO."""
    import openvino

    from .int8 import quantise_nncf
    from .models import Network
    from .saturation import weight_bits
    path, bits = folder / 'nncf.xml', weight_bits('openvino')
    network = Network(RIVAL, (3, size, size))
    openvino.save_model(quantise_nncf(network, bits), path)
    yield rival(bits), 'openvino', path


def rival(weight_bits: int) -> str:
    return f'{RIVAL}, {tables.int8_label(weight_bits)}'


def file_bytes(path) -> int:
    """An IR of OpenVINO is two files."""
    if not path:
        return 0
    weights = path.with_suffix('.bin')
    size = path.stat().st_size
    return size + (weights.stat().st_size if weights.exists() else 0)


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parser(__doc__.splitlines()[0], rounds=7)
    add_skip_missing(args)
    args = args.parse_args(argv)
    before = load_average()
    rows, skipped = [], []
    with TemporaryDirectory() as folder:
        say('preparing')
        for write in (write_packed, write_qdq, write_nncf):
            try:
                rows += [
                    dict(name=name, loader=loader, path=path, measured=[])
                    for name, loader, path in write(Path(folder), args.size)
                ]
            except ImportError as error:
                if not args.skip_missing:
                    return missing(error)
                say(f'  left out: {error}')
                skipped.append(
                    dict(contender=write.__name__, reason=str(error)))
        for i in range(args.rounds):
            for row in rows:
                row['measured'].append(
                    start(row['loader'], row['path'], args.size))
            say(f'  round {i + 1} of {args.rounds}')
        for row in rows:
            row['bytes'] = file_bytes(row.pop('path'))
    for row in rows:
        measured = row.pop('measured')
        row['torch'] = any(one.pop('torch') for one in measured)
        row['min'] = {
            key: min(m[key] for m in measured)
            for key in measured[0]
        }
        row['median'] = {
            key: median(m[key] for m in measured)
            for key in measured[0]
        }
    finish(
        document(
            'benchmarks.processes',
            argv,
            before,
            processes=args.rounds,
            skipped=skipped,
            results=rows), args.json)


if __name__ == '__main__':
    sys.exit(main())
