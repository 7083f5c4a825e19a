"""Prepare Fashion-MNIST for MMPretrain's ``FashionMNIST`` data set.

Example::

    python tools/dataset_converters/prepare_fashion_mnist.py
"""
import argparse
import sys

from mmreact.datasets.fashion_mnist import (DatasetError,
                                            prepare_fashion_mnist,
                                            verify_fashion_mnist)


def parse_args():
    parser = argparse.ArgumentParser(
        description='Prepare Fashion-MNIST from a cached copy, the Debian '
        'package dataset-fashion-mnist or its public addresses.')
    parser.add_argument(
        '--root',
        default='data/fashion_mnist',
        help='folder to prepare (default: %(default)s)')
    parser.add_argument(
        '--cache',
        help='folder that keeps a copy for the next time (default: the '
        "environment's MMREACT_CACHE, else mmreact in the user's cache)")
    parser.add_argument(
        '--verify-only',
        action='store_true',
        help='check the root and change nothing')
    return parser.parse_args()


def main():
    args = parse_args()
    try:
        if args.verify_only:
            verify_fashion_mnist(args.root)
            print(f'Fashion-MNIST: {args.root} is whole')
        else:
            prepare_fashion_mnist(args.root, args.cache)
    except (DatasetError, OSError) as error:
        sys.exit(f'Error: {args.root}: {error}')


if __name__ == '__main__':
    main()
