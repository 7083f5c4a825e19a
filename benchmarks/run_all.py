"""Run every benchmark, each in a process of its own.

Nothing else should run on the machine. The results go to JSON files, of which
``python -m benchmarks.report`` makes tables in docs.
"""
import argparse
import subprocess
import sys
import time
from pathlib import Path

from .harness import add_skip_missing, say

RESULTS = Path(__file__).with_name('results')
SHORT = ('networks', '--group', 'short')
#: Name of the results -> module and arguments.
RUNS = {
    'layers': ('layers', ),
    'processes': ('processes', ),
    'networks_1': ('networks', '--threads', '1'),
    'networks_2': ('networks', '--threads', '2'),
    'scaling': ('networks', '--group', 'scaling', '--threads', '1', '2'),
    'busy_1': (*SHORT, '--busy', '--threads', '1'),
    'busy_2': (*SHORT, '--busy', '--threads', '2'),
    'data': ('data', ),
    'training': ('training', ),
    'training_compiled': ('training', '--compiled'),
    'batch_8_1': (*SHORT, '--batch', '8', '--rounds', '10'),
    'batch_8_2': (*SHORT, '--batch', '8', '--rounds', '10', '--threads', '2'),
}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument(
        '--out',
        type=Path,
        default=RESULTS,
        help='folder of the JSON files (default: benchmarks/results)')
    args.add_argument(
        '--only', nargs='+', choices=RUNS, default=list(RUNS), help='which')
    add_skip_missing(args)
    args = args.parse_args()
    start = time.time()
    for i, name in enumerate(args.only):
        module, *options = RUNS[name]
        say(f'[{time.time() - start:.0f} s] {i + 1} of {len(args.only)}: '
            f'{name}')
        if args.skip_missing and module != 'layers':
            options.append('--skip-missing')
        done = subprocess.run([
            sys.executable, '-m', f'benchmarks.{module}', *options, '--json',
            str(args.out / f'{name}.json')
        ])
        if done.returncode:
            return f'Error: {name} failed; the runs before it are kept.'
    say(f'done in {time.time() - start:.0f} s')


if __name__ == '__main__':
    sys.exit(main())
