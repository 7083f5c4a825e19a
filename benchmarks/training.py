"""Train ReActNet-A beside its naive twin: memory, and time in turns.

What is kept for backward, the time of a step and of an evaluation are measured
in one process, peak memory in fresh ones that make the same steps.
"""
import gc
import sys
from statistics import median

import torch

from mmreact.packed.benchmark import statistics

from .harness import (document, finish, load_average, measure, parser,
                      positive, run_fresh, say)
from .training_step import CONTENDERS, Step, convolution_ms

#: Fresh processes of each contender.
PROCESSES = 3


def memory(contender: str, args) -> dict:
    """Resident memory in bytes, after the imports and at its highest; medians
    of fresh processes.
    """
    options = [
        '--batch', args.batch, '--size', args.size, '--threads', args.threads,
        *(['--compiled'] if args.compiled else [])
    ]
    found = [
        run_fresh('training_step', contender, *options)
        for _ in range(PROCESSES)
    ]
    return {key: int(median(row[key] for row in found)) for key in found[0]}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parser(__doc__.splitlines()[0], rounds=10)
    args.add_argument('--batch', type=positive, default=8)
    args.add_argument('--threads', type=positive, default=2)
    args.add_argument(
        '--compiled', action='store_true', help='both under torch.compile')
    args = args.parse_args(argv)
    torch.set_num_threads(args.threads)
    before = load_average()
    names = [c for c in CONTENDERS if not (args.compiled and c == 'with_cp')]
    rows = {}
    for name in names:
        say(f'memory of {name}')
        rows[name] = dict(
            contender=name, saved_bytes=None, **memory(name, args))
    steps = {
        name: Step(name, args.batch, args.size, args.compiled)
        for name in names
    }
    # Evaluation is first, as in a process that does nothing else: training
    # leaves free memory to malloc, and to take fresh pages is most of what
    # the twin's weights cost (docs/training.md).
    for kind in ('evaluate_one', 'evaluate', 'train'):
        say(f'time of {kind}')
        runs = {name: getattr(step, kind) for name, step in steps.items()}
        for name, seconds in measure(runs, args.rounds).items():
            rows[name][kind] = statistics(seconds)
        if not args.compiled:
            for name, run in runs.items():
                rows[name][kind]['convolution_ms'] = min(
                    convolution_ms(run) for _ in range(3))
    if not args.compiled:
        for name, step in steps.items():
            rows[name]['saved_bytes'] = step.saved_bytes()
            gc.collect()
    finish(
        document(
            'benchmarks.training',
            argv,
            before,
            batch=args.batch,
            size=args.size,
            threads=args.threads,
            compiled=args.compiled,
            parameter_bytes=sum(p.nbytes
                                for p in steps['ours'].network.parameters()),
            results=list(rows.values())), args.json)


if __name__ == '__main__':
    sys.exit(main())
