"""Convert checkpoints of the authors' code to ours, and back."""
import argparse
import sys


def parse_args():
    parser = argparse.ArgumentParser(
        description='Make an mmreact checkpoint of one of the authors\' code '
        '(ReActNet, AdamBNN, Bi-Real Net) or of its reruns on '
        'MMClassification 0.x')
    parser.add_argument('source', help='checkpoint to read (*.pth.tar, *.pth)')
    parser.add_argument('destination', help='checkpoint to write')
    parser.add_argument(
        '--arch',
        help='reactnet-a, react-resnet18, react-resnet34, bireal18 or '
        'bireal34 (default: what the names of the weights say)')
    parser.add_argument(
        '--stage',
        type=int,
        choices=[1, 2],
        help='1: real weights, 2: binary weights; needed where the file does '
        'not tell')
    parser.add_argument(
        '--reverse',
        action='store_true',
        help='make a checkpoint for the authors\' code of one of ours')
    parser.add_argument(
        '--keys', action='store_true', help='print what became of each key')
    return parser.parse_args()


def print_report(found, args):
    """Print what was converted and what became of the keys."""
    width, _, classes = found.sizes
    print(f'{found.arch}, stage {found.stage}, {found.layout} names, stem of '
          f'{width} channels, {classes} classes')
    if args.keys:
        for source, destination in found.moved:
            print(f'  {source} -> {destination}')
        for key in found.derived:
            print(f'  0 -> {key}')
    print(f'{len(found.moved)} keys moved, {len(found.derived)} derived')
    if found.dropped:
        print(f'Not taken over: {", ".join(found.dropped)}')
    if found.ones and found.stage == 2:
        print('1-bit weights are stored as +1 and -1: their scale is 1.')
    if found.zeros and found.stage == 2:
        print_zeros(found)
    print(f'Written: {args.destination}')
    if args.reverse:
        return
    if found.config:
        print(f'Test it:  python tools/test.py configs/{found.config} '
              f'{args.destination}')
    else:
        print(f'No config has this width: set model.backbone to '
              f'{found.backbone}')
    if classes != 1000:
        print(f'with --cfg-options model.head.num_classes={classes}')


def print_zeros(found):
    """Warn of weights that both sides understand differently."""
    total = sum(zeros for zeros, _ in found.zeros.values())
    print(
        f'Warning: {total} 1-bit weights are exactly 0. The authors\' code '
        'computes with 0, mmreact with -1 times the scale. See '
        'docs/official_checkpoints.md.',
        file=sys.stderr)
    for name, (zeros, number) in found.zeros.items():
        print(f'  {name}: {zeros} of {number}', file=sys.stderr)


def main():
    args = parse_args()
    from mmreact.utils.checkpoint import CheckpointError
    from mmreact.zoo.converters import convert_file, reverse_file
    function = reverse_file if args.reverse else convert_file
    try:
        found = function(args.source, args.destination, args.arch, args.stage)
    except (CheckpointError, OSError) as error:
        return f'Error: {error}'
    print_report(found, args)


if __name__ == '__main__':
    sys.exit(main())
