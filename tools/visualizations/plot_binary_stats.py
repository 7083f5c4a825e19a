"""Draw what BinaryStatsHook logged: a PNG a statistic, a panel a layer."""
import argparse
import sys
from pathlib import Path


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'source',
        type=Path,
        metavar='LOG_OR_WORK_DIR',
        help='binary_stats.json, or the work directory of a run; the logs of '
        'a run that was resumed are joined')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='where the PNGs go (default: binary_stats/ in the work '
        'directory or beside the log)')
    parser.add_argument(
        '--layers',
        nargs='+',
        metavar='PATTERN',
        help='only these layers: names with wildcards, e.g. '
        '"backbone.layer1.*"')
    args = parser.parse_args()
    if args.out is None:
        folder = args.source.parent if args.source.is_file() else args.source
        args.out = folder / 'binary_stats'
    return args


def main():
    args = parse_args()
    from mmreact.analysis.network_plot import save_plot
    from mmreact.analysis.stats_plot import draw_log, read_log
    try:
        figures = draw_log(read_log(args.source), args.layers)
        args.out.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            save_plot(figure, args.out / f'{name}.png')
            print(args.out / f'{name}.png')
    except (OSError, ValueError) as error:
        return f'Error: {error}'


if __name__ == '__main__':
    sys.exit(main())
