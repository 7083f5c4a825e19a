"""Time whole networks on several engines, in turns in one process.

A contender is NETWORK/ENGINE, e.g. ReActNet-A/native or
"MobileNetV1 1.0/openvino-int8".
"""
import sys

import numpy as np

from mmreact.packed.benchmark import statistics

from .engines import ENGINES, create, forced_kernels
from .harness import (add_skip_missing, document, finish, load_average,
                      measure, missing, neighbour, parser, positive, say)
from .models import NETWORKS, Network

REAL = ('onnxruntime-fp32', 'openvino-fp32', 'openvino-default',
        'onnxruntime-int8', 'openvino-int8', 'openvino-int8-qdq')
PACKED = ('native', 'openvino-binary')

#: Name -> network -> engines, or the number of threads too.
GROUPS = dict(
    all={
        'ReActNet-A':
        (*PACKED, 'native:*', 'onnxruntime-fp32', 'openvino-fp32', 'torch',
         'torch-constant', 'torch-compile'),
        'ReActNet-B':
        PACKED,
        'ReActNet-C':
        PACKED,
        'ReAct-ResNet-18':
        PACKED,
        'Bi-Real-18':
        PACKED,
        'MobileNetV1 1.0':
        REAL,
        'MobileNetV2':
        REAL,
        'ResNet-18':
        REAL
    },
    # What a user would choose between.
    short={
        'ReActNet-A':
        PACKED,
        'ReAct-ResNet-18':
        PACKED,
        'Bi-Real-18':
        PACKED,
        'MobileNetV1 1.0': ('onnxruntime-fp32', 'openvino-fp32',
                            'onnxruntime-int8', 'openvino-int8'),
        'MobileNetV2': ('onnxruntime-int8', 'openvino-int8'),
        'ResNet-18': ('onnxruntime-int8', 'openvino-int8')
    },
    scaling={
        'ReActNet-A': PACKED,
        'ReAct-ResNet-18': PACKED,
        'MobileNetV1 1.0': ('onnxruntime-int8', 'openvino-int8'),
    })
#: Outputs correlate with PyTorch's by more than this: signs turn where sums
#: are rounded otherwise, and 8 bits are coarse.
LEAST_CORRELATION = 0.8


def parse_args(argv):
    args = parser(__doc__, rounds=20)
    args.add_argument(
        '--group',
        choices=GROUPS,
        default='all',
        help='which contenders (default: all)')
    args.add_argument(
        '--contenders',
        nargs='+',
        metavar='NETWORK/ENGINE',
        help='instead of a group')
    args.add_argument(
        '--threads',
        type=positive,
        nargs='+',
        default=[1],
        help='threads of each contender; of several numbers each is a '
        'contender of its own (default: 1)')
    args.add_argument(
        '--batch', type=positive, default=1, help='images a call (default: 1)')
    args.add_argument(
        '--busy',
        action='store_true',
        help='with another process that always computes')
    add_skip_missing(args)
    found = args.parse_args(argv)
    found.contenders = contenders(found)
    for network, engine in found.contenders:
        if network not in NETWORKS or engine.split(':')[0] not in ENGINES:
            args.error(f'there is no contender {network}/{engine}; networks: '
                       f'{", ".join(NETWORKS)}; engines: '
                       f'{", ".join(ENGINES)}, native:KERNEL')
    return found


def contenders(args):
    """Pairs of network and engine."""
    if args.contenders:
        return [tuple(name.rpartition('/')[::2]) for name in args.contenders]
    return [
        (network, name) for network, engines in GROUPS[args.group].items()
        for engine in engines
        for name in (forced_kernels() if engine == 'native:*' else [engine])
    ]


def prepare(args, shape):
    """Make all engines ready.

    Returns:
        tuple: ``{(network, engine, threads): Engine}``, the networks by name,
        and what was left out.
    """
    engines, skipped = {}, []
    networks = {name: Network(name, shape[1:]) for name, _ in args.contenders}
    for name, engine in args.contenders:
        say(f'  {name}/{engine}')
        for threads in args.threads:
            key = name, engine, threads
            try:
                engines[key] = create(engine, networks[name], shape, threads)
            except ImportError as error:
                if not args.skip_missing:
                    raise
                say(f'  left out: {error}')
                skipped.append(
                    dict(contender=f'{name}/{engine}', reason=str(error)))
    return engines, networks, skipped


def correlations(engines, networks, inputs):
    """That of each output with what PyTorch computes in real numbers.

    Raises:
        RuntimeError: If an engine does not compute the network.
    """
    expected = {
        name: network.run(inputs[name]).ravel()
        for name, network in networks.items()
    }
    found = {}
    for key, engine in engines.items():
        output = np.ravel(engine.run(inputs[key[0]]))
        found[key] = float(np.corrcoef(output, expected[key[0]])[0, 1])
        if not found[key] > LEAST_CORRELATION:
            raise RuntimeError(
                f'{"/".join(map(str, key))} threads does not compute what '
                f'PyTorch does: their outputs correlate with {found[key]:.3f}.'
            )
    return found


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    before = load_average()
    say('preparing')
    try:
        engines, networks, skipped = prepare(
            args, (args.batch, 3, args.size, args.size))
    except ImportError as error:
        return missing(error)
    inputs = {name: n.images(args.batch) for name, n in networks.items()}
    alike = correlations(engines, networks, inputs)
    say('timing')
    runs = {
        key: (lambda run=engine.run, x=inputs[key[0]]: run(x))
        for key, engine in engines.items()
    }
    with neighbour(args.busy):
        seconds = measure(runs, args.rounds)
    finish(
        document(
            'benchmarks.networks',
            argv,
            before,
            batch=args.batch,
            busy=args.busy,
            input_shape=[args.batch, 3, args.size, args.size],
            networks={
                name: n.facts()
                for name, n in networks.items()
            },
            skipped=skipped,
            results=[
                dict(
                    network=key[0],
                    engine=key[1],
                    threads=key[2],
                    **statistics(seconds[key]),
                    correlation=alike[key],
                    weight_bits=engines[key].weight_bits,
                    layers=engines[key].layers) for key in engines
            ]), args.json)


if __name__ == '__main__':
    sys.exit(main())
