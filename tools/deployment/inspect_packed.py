"""Print what is in a packed file: operations, bits, bytes and origin."""
import argparse
import json
import sys

from mmreact.packed import PackedFileError, summarize
from mmreact.packed.image_files import printable


def parse_args():
    parser = argparse.ArgumentParser(
        description='List the operations of a packed file, its size and where '
        'it comes from')
    parser.add_argument('file', help='packed file')
    parser.add_argument(
        '--json', action='store_true', help='print one line of JSON')
    return parser.parse_args()


def join(texts, shown=10):
    """The first texts in a line; what a terminal would obey is escaped."""
    texts = list(map(printable, texts))
    more = f' and {len(texts) - shown} more' if len(texts) > shown else ''
    return ('; '.join(texts[:shown]) + more) or 'none'


def print_summary(path, summary):
    packed = summary.packed
    shape = 'x'.join(map(str, packed.program.input_shape))
    print(f'{path}, input {shape}')
    print(summary.table())
    rows = dict(
        preprocessing=packed.preprocessing or 'none',
        classes=join(packed.classes),
        features=join(packed.program.features))
    rows.update((join([k]), join([v])) for k, v in packed.source.items())
    for key, value in rows.items():
        print(f'  {key:<18}{value!s}')


def main():
    args = parse_args()
    try:
        summary = summarize(args.file)
    except PackedFileError as error:
        return f'Error: {error}'
    if args.json:
        print(json.dumps(dict(file=args.file, **summary.to_dict())))
    else:
        print_summary(args.file, summary)


if __name__ == '__main__':
    sys.exit(main())
