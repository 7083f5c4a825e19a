"""Time a packed file, in turns with the same network in real numbers."""
import argparse
import json
import os
import sys

from mmreact.packed import (BACKENDS, BackendMissingError, PackedFileError,
                            ProgramError, load_packed)
from mmreact.packed.backends import create_backend
from mmreact.packed.benchmark import REAL_ENGINES, compare, machine


def parse_args():
    parser = argparse.ArgumentParser(
        description='Time a packed file, in turns with the same network in '
        'real numbers, in one process')
    parser.add_argument('file', help='packed file')
    parser.add_argument(
        '--backend',
        choices=['auto', *BACKENDS],
        default='auto',
        help='what runs the packed file (default: the best installed one)')
    parser.add_argument(
        '--against',
        nargs='+',
        choices=[*REAL_ENGINES, *BACKENDS],
        default=[],
        metavar='ENGINE',
        help='what to compare it with: other backends, or the exported ONNX '
        f'model in {" or ".join(REAL_ENGINES)}')
    parser.add_argument(
        '--threads', type=int, default=1, help='threads (default: 1)')
    parser.add_argument(
        '--batch', type=int, default=1, help='images a call (default: 1)')
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        help='input height and width (one number: a square; default: those '
        'of the file)')
    parser.add_argument(
        '--rounds',
        type=int,
        default=20,
        help='turns of each engine, of 50 ms or one call (default: 20)')
    parser.add_argument(
        '--json', action='store_true', help='print one line of JSON')
    args = parser.parse_args()
    for name in ('threads', 'batch', 'rounds'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} takes a positive number')
    if args.size and (len(args.size) > 2 or min(args.size) < 1):
        parser.error('--size takes one or two positive numbers')
    return args


def print_report(report):
    shape = 'x'.join(map(str, report['input_shape']))
    threads = report['threads']
    print(f'{report["file"]}: {report["file_bytes"]:,} bytes, input {shape}, '
          f'{threads} thread{"s" * (threads > 1)}')
    where = report['machine']
    print(f'{where["cpu"]}, {where["cpus"]} CPUs, '
          f'{" ".join(where["flags"]) or "no known flags"}')
    print(', '.join(f'{k} {v}' for k, v in where['versions'].items()))
    print(f'{"":<16}{"calls":>7}{"min ms":>11}{"median ms":>11}'
          f'{"min ratio":>11}{"median ratio":>14}{"difference":>12}')
    for row in report['results']:
        print(f'{row["name"]:<16}{row["calls"]:>7}{row["min_ms"]:>11.2f}'
              f'{row["median_ms"]:>11.2f}{row["min_ratio"]:>11.2f}'
              f'{row["median_ratio"]:>14.2f}{row["difference"]:>12.1e}')


def main():
    args = parse_args()
    try:
        program = load_packed(args.file).program
        backend = create_backend(args.backend, program, args.threads).name
        channels, *size = program.input_shape
        size = [args.size[0], args.size[-1]] if args.size else size
        shape = (args.batch, channels, *size)
        names = list(dict.fromkeys([backend, *args.against]))
        results = compare(program, names, shape, args.threads, args.rounds)
    except (BackendMissingError, PackedFileError, ProgramError) as error:
        return f'Error: {error}'
    report = dict(
        file=args.file,
        file_bytes=os.path.getsize(args.file),
        input_shape=shape,
        threads=args.threads,
        machine=machine(),
        results=results)
    if args.json:
        print(json.dumps(report))
    else:
        print_report(report)


if __name__ == '__main__':
    sys.exit(main())
