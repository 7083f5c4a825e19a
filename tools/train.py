"""Train a network, and first whatever its config starts from."""
import argparse
import os
import os.path as osp
import sys

from mmengine.config import DictAction


def parse_args():
    parser = argparse.ArgumentParser(
        description='Train a network. The runs that its config needs first '
        '(earlier stage, teacher) are trained too, unless they are complete.')
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--work-dir',
        help='directory for logs and checkpoints (default: '
        'work_dirs/<config name>); earlier runs get a folder below it')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue whichever run was interrupted, from its last '
        'checkpoint; with a checkpoint file, continue CONFIG from it')
    parser.add_argument(
        '--from',
        dest='start_from',
        metavar='CKPT',
        help='start from this checkpoint instead of training the earlier '
        'stage')
    parser.add_argument(
        '--teacher',
        metavar='CKPT',
        help='weights of the teacher (file or address), instead of training '
        'or downloading it')
    parser.add_argument(
        '--reset-head',
        action='store_true',
        help='do not take over the classifier, e.g. for other classes')
    parser.add_argument('--data-root', help='root of the data set')
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='use deterministic algorithms only')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='enable automatic-mixed-precision training')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the actual batch size')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the configs of all runs: key=value; of '
        'one run: name:key=value. A list is written key="[a,b]" or key=a,b')
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
    from mmreact.engine.stages import Options, make_plan, train_plan
    options = Options.from_flags(
        cfg_options=args.cfg_options,
        data_root=args.data_root,
        seed=args.seed,
        deterministic=args.deterministic,
        amp=args.amp,
        validate=not args.no_validate,
        auto_scale_lr=args.auto_scale_lr)
    name = osp.splitext(osp.basename(args.config))[0]
    plan = make_plan(
        args.config,
        args.work_dir or osp.join('work_dirs', name),
        options,
        start_from=args.start_from,
        teacher=args.teacher)
    train_plan(
        plan,
        resume=args.resume,
        reset_head=args.reset_head,
        launcher=args.launcher)


if __name__ == '__main__':
    sys.exit(main())
