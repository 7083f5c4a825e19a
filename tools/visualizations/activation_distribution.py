"""Draw how activations are distributed before and after RSign's threshold.

A row a layer; one column, or two for two checkpoints side by side.
"""
import argparse
import sys
from pathlib import Path

from mmreact.utils.cli import add_cfg_options


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        'second',
        nargs='*',
        metavar='[CONFIG2] CHECKPOINT2',
        help='a second checkpoint, of the same config or of another')
    parser.add_argument(
        '--out', type=Path, required=True, help='image to write: .png or .svg')
    parser.add_argument(
        '--images',
        type=int,
        default=64,
        metavar='N',
        help='on how many images, evenly spread over the set (default: 64)')
    parser.add_argument(
        '--split',
        choices=['test', 'train'],
        default='test',
        help='images of the test set (default) or of the training set, both '
        'through the test pipeline')
    parser.add_argument(
        '--layers',
        nargs='+',
        metavar='PATTERN',
        help='only these layers: names with wildcards, e.g. '
        '"backbone.layer1.*"')
    parser.add_argument('--data-root', help='root of the data set')
    parser.add_argument(
        '--device',
        default='cpu',
        help='where the network runs (default: cpu)')
    add_cfg_options(parser)
    args = parser.parse_args()
    if len(args.second) > 2:
        parser.error('give at most a second config and a second checkpoint')
    if args.images < 1:
        parser.error(f'--images takes a positive number, not {args.images}')
    if args.out.suffix not in ('.png', '.svg'):
        parser.error('--out takes a file name that ends in .png or .svg')
    return args


def main():
    args = parse_args()
    import mmreact.models  # noqa: F401, registers
    from mmreact.analysis.activations import draw_distributions
    from mmreact.analysis.network_plot import save_plot
    from mmreact.engine.activations import activation_distributions
    from mmreact.utils.checkpoint import CheckpointError
    from mmreact.utils.config_files import read_config
    from mmreact.utils.config_options import change_config
    pairs = [(args.config, args.checkpoint)]
    if args.second:
        pairs.append(([args.config] + args.second)[-2:])
    columns = {}
    try:
        for config, checkpoint in pairs:
            cfg = read_config(config)
            change_config(cfg, args.cfg_options, args.data_root)
            title = '/'.join(Path(checkpoint).parts[-2:])
            if title in columns:  # the same twice, or of the same name
                title += ' (2)'
            columns[title] = activation_distributions(cfg, checkpoint,
                                                      args.images, args.split,
                                                      args.layers, args.device)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        save_plot(draw_distributions(columns), args.out)
    except (CheckpointError, OSError, ValueError) as error:
        return f'Error: {error}'
    print(args.out)


if __name__ == '__main__':
    sys.exit(main())
