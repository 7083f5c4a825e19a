"""Test a checkpoint: top-1 and top-5."""
import argparse
import json
import os
import os.path as osp
import sys

from mmengine.config import Config, DictAction


def parse_args():
    parser = argparse.ArgumentParser(
        description='Test (and evaluate) a checkpoint')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--work-dir', help='directory for the log (default: work_dirs/<name>)')
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
    parser.add_argument('--data-root', help='root of the data set')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config: key=value. A list is written '
        'key="[a,b]" or key=a,b')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torch.distributed.launch passes it.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    result = sys.stdout
    if args.json:
        sys.stdout = sys.stderr
    from mmengine.dist import is_main_process

    from mmreact.engine.testing import test_checkpoint
    cfg = Config.fromfile(args.config)
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join(
        'work_dirs', name)
    if args.data_root:
        cfg.test_dataloader.dataset.data_root = args.data_root
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    metrics = test_checkpoint(cfg, args.checkpoint, args.out, args.out_item,
                              args.launcher)
    if args.json and is_main_process():
        print(
            json.dumps(
                dict(
                    config=args.config,
                    checkpoint=args.checkpoint,
                    **{k: round(float(v), 4)
                       for k, v in metrics.items()})),
            file=result)


if __name__ == '__main__':
    sys.exit(main())
