"""Test a checkpoint or a packed file: top-1 and top-5."""
import argparse
import json
import sys

from mmreact.utils.cli import add_run_arguments, parse_run_args, run


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
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over augmented images: tta_pipeline and tta_model of '
        'the config, or each image and its mirror image')
    add_run_arguments(parser)
    return parse_run_args(parser)


def main():
    args = parse_args()
    result = sys.stdout
    if args.json:
        sys.stdout = sys.stderr
    from mmengine.dist import is_main_process

    from mmreact.engine.stages import default_work_dir
    from mmreact.engine.testing import test_checkpoint, test_packed
    from mmreact.utils.config_files import read_config
    from mmreact.utils.config_options import change_config
    from mmreact.utils.input_errors import input_errors
    with input_errors():
        cfg = read_config(args.config)
        change_config(cfg, args.cfg_options, args.data_root)
    cfg.work_dir = args.work_dir or str(default_work_dir(cfg, args.config))
    if args.checkpoint.endswith('.safetensors'):
        if args.launcher != 'none':
            sys.exit('A packed file is tested in one process, on as many '
                     'threads as --threads says: leave --launcher out.')
        metrics = test_packed(cfg, args.checkpoint, args.out, args.out_item,
                              args.backend, args.threads, args.tta)
    else:
        metrics = test_checkpoint(cfg, args.checkpoint, args.out,
                                  args.out_item, args.launcher, args.tta)
    if args.json and is_main_process():
        metrics = {key: round(float(v), 4) for key, v in metrics.items()}
        row = dict(config=args.config, checkpoint=args.checkpoint, **metrics)
        print(json.dumps(row), file=result, flush=True)


if __name__ == '__main__':
    run(main)
