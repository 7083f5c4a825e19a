"""Classify images with a checkpoint, a packed file or a name."""
import argparse
import sys

from mmreact.packed import BACKENDS, BackendMissingError
from mmreact.packed.command import (add_arguments, is_name, open_packed,
                                    packed_predict, run)


def parse_args():
    parser = argparse.ArgumentParser(
        description='Classify images, or folders of them, with a checkpoint, '
        'a packed file or a name')
    parser.add_argument(
        'images',
        nargs='+',
        metavar='image',
        help='image file, or a folder of them')
    parser.add_argument(
        'model',
        help='checkpoint file or address, packed file (.safetensors), or '
        'name; with --checkpoint also a config file')
    parser.add_argument(
        '--config',
        help='config file of a checkpoint (default: what it records)')
    parser.add_argument(
        '--checkpoint', help='weights for MODEL, which is a name or a config')
    parser.add_argument(
        '--device',
        help='device of a checkpoint (default: a GPU if there is one)')
    parser.add_argument(
        '--backend',
        choices=['auto', *BACKENDS],
        default='auto',
        help='what runs a packed file (default: the fastest that is '
        'installed)')
    parser.add_argument(
        '--threads', type=int, help='threads of the backend (default: all)')
    add_arguments(parser)
    args = parser.parse_args()
    if args.model.endswith('.py') and not args.checkpoint:
        parser.error(f'{args.model} is a config: its weights are missing, '
                     'give --checkpoint FILE')
    if args.checkpoint and not (args.model.endswith('.py')
                                or is_name(args.model)):
        parser.error('--checkpoint goes with the name or the config of a '
                     f'network, not with {args.model}')
    return args


def find_model(args):
    """What stands behind MODEL: a packed file, or a checkpoint with config.

    Returns:
        tuple: ``(packed file, None)`` or ``(checkpoint, config or None)``.
    """
    if not is_name(args.model):
        if args.model.endswith('.safetensors'):
            return args.model, None
        if args.model.endswith('.py'):
            return args.checkpoint, args.model
        return args.model, args.config
    from mmreact import zoo
    row = zoo.info(args.model)
    if args.checkpoint:
        return args.checkpoint, row.config
    if row.packed:
        return str(zoo.packed_file(args.model)), None
    return str(zoo.checkpoint_file(args.model)), row.config


def main():
    args = parse_args()
    from mmreact.utils.checkpoint import CheckpointError

    def load(topk):
        file, config = find_model(args)
        if file.endswith('.safetensors'):
            model = open_packed(file, args.backend, args.threads)
            return packed_predict(model, topk)
        import mmreact.models  # noqa: F401, registers
        from mmreact.engine.inference import checkpoint_predict
        return checkpoint_predict(file, topk, config, args.device)

    try:
        return run(args.images, load, args)
    except (BackendMissingError, CheckpointError, OSError,
            ValueError) as error:
        return f'Error: {error}'


if __name__ == '__main__':
    sys.exit(main())
