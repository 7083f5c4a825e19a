"""Arguments that several tools share."""
import argparse
import os
import os.path as osp

from mmengine.config import DictAction


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--data-root``, ``--cfg-options``, ``--launcher``.
    """
    parser.add_argument(
        '--work-dir',
        help='directory for logs and checkpoints (default: '
        'work_dirs/<config name>)')
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
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS)


def parse_run_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse, and fill in what follows from ``config`` and the launcher."""
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.work_dir is None:
        name = osp.splitext(osp.basename(args.config))[0]
        args.work_dir = osp.join('work_dirs', name)
    return args
