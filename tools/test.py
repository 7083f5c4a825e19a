"""Test a checkpoint: top-1 and top-5."""
import argparse
import json
import sys

from mmengine.config import Config

from mmreact.utils.cli import add_run_arguments, parse_run_args


def parse_args():
    parser = argparse.ArgumentParser(
        description='Test (and evaluate) a checkpoint')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument('--out', help='file to save results in')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        default='pred',
        help='what --out saves: metrics or predictions (default)')
    parser.add_argument(
        '--json',
        action='store_true',
        help='print one line of JSON with the metrics on standard output and '
        'everything else on standard error')
    add_run_arguments(parser)
    return parse_run_args(parser)


def main():
    args = parse_args()
    result = sys.stdout
    if args.json:
        sys.stdout = sys.stderr
    from mmengine.dist import is_main_process

    from mmreact.engine.testing import test_checkpoint
    cfg = Config.fromfile(args.config)
    cfg.work_dir = args.work_dir
    if args.data_root:
        cfg.test_dataloader.dataset.data_root = args.data_root
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    metrics = test_checkpoint(cfg, args.checkpoint, args.out, args.out_item,
                              args.launcher)
    if args.json and is_main_process():
        metrics = {key: round(float(v), 4) for key, v in metrics.items()}
        row = dict(config=args.config, checkpoint=args.checkpoint, **metrics)
        print(json.dumps(row), file=result)


if __name__ == '__main__':
    sys.exit(main())
