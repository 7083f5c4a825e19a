"""Time the layers of a packed network, beside the bound of popcounting.

A layer is timed in two ways:

alone
    A program of this layer only. Its call converts the input from NCHW and
    the output to it, takes memory for that, and passes from Python to C:
    nothing is subtracted.
added
    By how much a program becomes slower with one more such layer. If the
    layer keeps the shape, copies are put behind it into the whole network,
    else side by side into a program of their own.
"""
import sys
from typing import Sequence

import numpy as np

from mmreact.packed import Program, ops
from mmreact.packed.benchmark import statistics
from mmreact.packed.native import NativeBackend, kernels

from .harness import document, finish, load_average, measure, parser, say
from .layer_programs import (describe, join, macs, moved_bytes, shape,
                             side_by_side, split, takes_means)
from .models import NETWORKS, Network
from .peak import measure_peaks

#: So many copies are added.
COPIES = 8


def pairs(layers: Sequence[Program], index: int):
    """Programs without and with :data:`COPIES` more of a layer, or None."""
    layer = layers[index]
    if shape(layer) == layer.input_shape:
        more = [*layers[:index], *[layer] * COPIES, *layers[index:]]
        return join(layers), join(more)
    if isinstance(layer.operations[0], ops.Sign):
        means = takes_means(layers[index + 1])
        return tuple(
            side_by_side(layer, number, means) for number in (1, 1 + COPIES))
    return None


def runs_of(layers: Sequence[Program], index: int, kernel: str) -> dict:
    """What is timed for a layer: its programs, as functions."""

    def run(program):
        backend = NativeBackend(program, 1, kernel)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(1, *program.input_shape)).astype(np.float32)
        return lambda: backend.run(x, [program.output])

    runs = dict(alone=run(layers[index]))
    more = pairs(layers, index)
    if more:
        runs.update(without=run(more[0]), more=run(more[1]))
    return runs


def time_layer(layers: Sequence[Program], index: int, kernel: str,
               rounds: int) -> dict:
    """Times of a layer in milliseconds; ``added`` is None if it cannot be
    repeated.
    """
    timed = {
        name: statistics(seconds)
        for name, seconds in measure(runs_of(layers, index, kernel),
                                     rounds).items()
    }
    found = dict(alone=timed['alone'], added=None)
    if 'more' in timed:
        found['added'] = {
            key: (timed['more'][key] - timed['without'][key]) / COPIES
            for key in ('min_ms', 'median_ms')
        }
    return found


def parse_args(argv):
    args = parser(__doc__.splitlines()[0], rounds=10)
    args.add_argument(
        '--network',
        default='ReActNet-A',
        choices=NETWORKS,
        help='which (default: ReActNet-A)')
    args.add_argument(
        '--kernel', help='of the native engine (default: the fastest)')
    found = args.parse_args(argv)
    if found.kernel not in (None, *kernels()):
        args.error(f'--kernel takes one of {", ".join(kernels())}')
    return found


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    kernel = args.kernel or kernels()[0]
    before = load_average()
    say('measuring what this machine can do at most')
    try:
        peaks = measure_peaks()
    except RuntimeError as error:
        return f'Error: {error}'
    if kernel not in peaks['gmacs']:
        return (f'Error: peak.cpp has no loop for the kernel {kernel!r}. It '
                f'measured {", ".join(peaks["gmacs"])}: name one of these.')
    network = Network(args.network, (3, args.size, args.size))
    layers = split(network.program)
    rows = {}
    for index, layer in enumerate(layers):
        key = describe(layer), layer.input_shape
        if key in rows:
            rows[key]['number'] += 1
            continue
        say(f'{index + 1} of {len(layers)}: {key[0]}')
        rows[key] = dict(
            layer=key[0],
            input_shape=layer.input_shape,
            output_shape=shape(layer),
            number=1,
            macs=macs(layer),
            bytes=moved_bytes(layer),
            **time_layer(layers, index, kernel, args.rounds))
    say('the whole network')
    whole = NativeBackend(network.program, 1, kernel)
    x = network.images(1)
    seconds = measure(
        dict(whole=lambda: whole.run(x, [network.program.output])),
        2 * args.rounds)
    finish(
        document(
            'benchmarks.layers',
            argv,
            before,
            network=args.network,
            kernel=kernel,
            copies=COPIES,
            peaks=peaks,
            whole=statistics(seconds['whole']),
            results=list(rows.values())), args.json)


if __name__ == '__main__':
    sys.exit(main())
