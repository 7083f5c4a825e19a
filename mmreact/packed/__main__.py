"""Classify images: ``python -m mmreact.packed MODEL IMAGE...``."""
import argparse
import sys

from .backends import BACKENDS, BackendMissingError
from .command import add_arguments, open_packed, packed_predict, run


def parse_args():
    parser = argparse.ArgumentParser(
        prog='python -m mmreact.packed',
        description='Classify images with a packed network, without PyTorch')
    parser.add_argument('model', help='packed file (.safetensors), or name')
    parser.add_argument(
        'images',
        nargs='+',
        metavar='image',
        help='image file, or a folder of them')
    parser.add_argument(
        '--backend',
        choices=['auto', *BACKENDS],
        default='auto',
        help='what runs it (default: the fastest that is installed)')
    parser.add_argument(
        '--threads', type=int, help='threads of the backend (default: all)')
    add_arguments(parser)
    return parser.parse_args()


def main():
    args = parse_args()

    def load(topk):
        model = open_packed(args.model, args.backend, args.threads)
        return packed_predict(model, topk)

    try:
        return run(args.images, load, args)
    except (BackendMissingError, OSError, ValueError) as error:
        return f'Error: {error}'


if __name__ == '__main__':
    sys.exit(main())
