"""Test a checkpoint or a packed file: top-1 and top-5."""
import argparse
import json
import sys

from mmengine.config import Config

from mmreact.utils.cli import add_run_arguments, parse_run_args


def parse_args():
    parser = argparse.ArgumentParser(
        description='Test (and evaluate) a checkpoint or a packed file')
    parser.add_argument('config', help='test config file path')
    parser.add_argument(
        'checkpoint',
        help='checkpoint file or address, or a packed file (.safetensors)')
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
    parser.add_argument(
        '--backend',
        default='auto',
        help='what runs a packed file: reference, openvino, ... (default: the '
        'fastest that is installed)')
    parser.add_argument(
        '--threads', type=int, help='threads of the backend (default: all)')
    add_run_arguments(parser)
    return parse_run_args(parser)


def main():
    args = parse_args()
    result = sys.stdout
    if args.json:
        sys.stdout = sys.stderr
    from mmengine.dist import is_main_process

    from mmreact.engine.testing import test_checkpoint, test_packed
    cfg = Config.fromfile(args.config)
    cfg.work_dir = args.work_dir
    if args.data_root:
        cfg.test_dataloader.dataset.data_root = args.data_root
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if args.checkpoint.endswith('.safetensors'):
        if args.launcher != 'none':
            sys.exit('A packed file is tested in one process, on as many '
                     'threads as --threads says: leave --launcher out.')
        metrics = test_packed(cfg, args.checkpoint, args.out, args.out_item,
                              args.backend, args.threads)
    else:
        metrics = test_checkpoint(cfg, args.checkpoint, args.out,
                                  args.out_item, args.launcher)
    if args.json and is_main_process():
        metrics = {key: round(float(v), 4) for key, v in metrics.items()}
        row = dict(config=args.config, checkpoint=args.checkpoint, **metrics)
        print(json.dumps(row), file=result)


if __name__ == '__main__':
    sys.exit(main())
