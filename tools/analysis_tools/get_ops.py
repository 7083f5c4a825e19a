"""Print the operations and parameters of a config's network, by layer."""
import argparse
import json
import sys

from mmengine.registry import init_default_scope

from mmreact.utils.cli import add_cfg_options, run


def parse_args():
    parser = argparse.ArgumentParser(
        description='Count BOPs, FLOPs, OPs (BOPs/64 + FLOPs) and parameters')
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        help='input height and width (one number: a square); by default '
        'those of the images that the config tests on')
    parser.add_argument(
        '--json', action='store_true', help='print one line of JSON')
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.shape and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error('--shape takes one or two positive numbers')
    return args


def input_shape(cfg, size):
    """``(C, H, W)`` of the images that a config tests on.

    Args:
        cfg (Config): Of an image classifier.
        size (list[int], optional): One or two numbers instead of its own.
    """
    from mmreact.engine.test_images import input_channels, input_size
    from mmreact.export import LoweringError
    if not size and 'dataset' not in (cfg.get('test_dataloader') or {}):
        sys.exit('The config has no test data set, which says the size of '
                 'the images. Give it: --shape HEIGHT WIDTH.')
    try:
        size = size or input_size(cfg)
    except LoweringError as error:
        sys.exit(str(error))
    return (input_channels(cfg), size[0], size[-1])


def main():
    args = parse_args()
    from mmpretrain.registry import MODELS

    import mmreact.models  # noqa: F401, registers
    from mmreact.analysis import count_ops
    from mmreact.utils.config_files import read_config
    from mmreact.utils.config_options import change_config
    from mmreact.utils.input_errors import input_errors
    with input_errors():
        cfg = read_config(args.config)
        change_config(cfg, args.cfg_options)
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model)
    shape = input_shape(cfg, args.shape)
    report = count_ops(model, shape)
    if args.json:
        print(json.dumps(dict(input_shape=shape, **report.to_dict())))
    else:
        print(f'{args.config}, input {shape}')
        print(report.table())


if __name__ == '__main__':
    run(main)
