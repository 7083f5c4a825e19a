"""Train configs with several seeds and compare what they reach.

    tools/compare_trainings.py A.py B.py --seeds 0 1 2 --work-dir DIR
    tools/compare_trainings.py A.py --vary model.backbone.estimator=approx,clip
        --seeds 0 1 2 --work-dir DIR -- --teacher teacher.pth

Each training is one of tools/train.py, which gets what follows a lone "--".
Trainings that are complete are skipped, interrupted ones go on, one that
fails is named and does not stop the others.
"""
import argparse
import signal
import sys
from pathlib import Path

#: What this tool gives to tools/train.py itself.
OWN_FLAGS = ('--work-dir', '--seed', '--resume', '--cfg-options')
FORMATS = ('.txt', '.md', '.csv', '.json', '.svg', '.png')


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='*', type=Path, help='configs, a method each')
    parser.add_argument(
        '--work-dir',
        type=Path,
        required=True,
        help='each training gets METHOD/seed_SEED below it')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='SEED')
    parser.add_argument(
        '--vary',
        action='append',
        default=[],
        metavar='KEY=A,B,...',
        help='a method for each value of this config key; given several '
        'times, for each combination')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='for all trainings')
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at once (default: 1)')
    parser.add_argument(
        '--gpus',
        default='',
        metavar='I,J,...',
        help='each training at once sees one of these, in turn')
    parser.add_argument(
        '--task',
        type=int,
        metavar='N',
        help='run only the training of this number in --list, e.g. '
        '$SLURM_ARRAY_TASK_ID')
    parser.add_argument(
        '--list', action='store_true', help='number the trainings and stop')
    parser.add_argument(
        '--table-only',
        action='store_true',
        help='train nothing; without configs, compare all trainings that the '
        'work directory remembers')
    parser.add_argument(
        '--baseline',
        metavar='METHOD',
        help='what the others are compared with (default: the first)')
    parser.add_argument('--metric', default='accuracy/top1')
    parser.add_argument(
        '--best',
        action='store_true',
        help='take the best validation, not the last (on a test set this '
        'chooses by the test set)')
    parser.add_argument(
        '--out',
        nargs='+',
        type=Path,
        default=[],
        metavar='FILE',
        help=f'write the table or plot; {", ".join(FORMATS)}')
    own, extra = argv, []
    if '--' in argv:
        own, extra = argv[:argv.index('--')], argv[argv.index('--') + 1:]
    args = parser.parse_args(own)
    args.train_arguments = extra
    _check(parser, args)
    return args


def _check(parser, args):
    if not args.configs and not args.table_only:
        parser.error('name at least one config')
    if args.jobs < 1:
        parser.error(f'--jobs is {args.jobs}, not at least 1')
    for path in args.out:
        if path.suffix not in FORMATS:
            parser.error(f'--out {path} does not end in one of '
                         f'{", ".join(FORMATS)}')
    for word in args.train_arguments:
        flag = word.split('=')[0]
        if flag in OWN_FLAGS:
            parser.error(f'give {flag} before the "--": it is set for each '
                         'training here')


def find_trials(args):
    """The trainings that the arguments name."""
    from mmreact.engine.comparison import make_trials, recorded_trials
    if not args.configs:
        return recorded_trials(args.work_dir)
    return make_trials(args.configs, args.seeds, args.work_dir, args.vary,
                       args.cfg_options)


def train(args, trials):
    """Run trainings; returns the signal that ended them, if one did."""
    from mmreact.engine.comparison import Display, Interrupted, Launcher
    command = [sys.executable, str(Path(__file__).with_name('train.py'))]
    with Display(len(trials)) as display:
        launcher = Launcher(command, args.train_arguments, args.jobs,
                            [g for g in args.gpus.split(',') if g], display)
        try:
            launcher.run(trials)
        except Interrupted as interrupted:
            return interrupted.number
    return None


def write_results(args, rows):
    """Print the table and write the files that --out names."""
    from mmreact.analysis import seeds
    print(seeds.text_table(rows), end='')
    writers = {
        '.txt': seeds.text_table,
        '.md': seeds.markdown_table,
        '.csv': seeds.csv_table,
        '.json': seeds.json_table
    }
    for path in args.out:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in writers:
            path.write_text(writers[path.suffix](rows), encoding='utf-8')
        elif any(row.n for row in rows):
            from mmreact.analysis.network_plot import save_plot
            from mmreact.analysis.seeds_plot import plot_seeds
            save_plot(plot_seeds(rows, args.metric), str(path))
        else:
            print(f'{path} is not drawn: no training has a result.',
                  file=sys.stderr)  # yapf: disable


def main(argv=None):
    args = parse_args(sys.argv[1:] if argv is None else argv)
    from mmreact.analysis.seeds import summarize
    from mmreact.engine.comparison import (make_samples, read_result,
                                           record_trials)
    from mmreact.engine.preemption import EXIT_CODE
    try:
        trials = find_trials(args)
        if not trials:
            raise ValueError(f'{args.work_dir} remembers no trainings.')
        methods = list(dict.fromkeys(trial.method for trial in trials))
        if args.baseline not in (None, *methods):
            raise ValueError(f'--baseline {args.baseline!r} is not one of the '
                             f'methods {", ".join(methods)}.')
        if args.task is not None and not 0 <= args.task < len(trials):
            raise ValueError(f'--task is {args.task}; there are the trainings '
                             f'0 to {len(trials) - 1}.')
    except (ValueError, FileNotFoundError) as error:
        print(f'Error: {error}', file=sys.stderr)
        return 2
    if args.list:
        for number, trial in enumerate(trials):
            print(f'{number}  {trial.method}  seed {trial.seed}')
        return 0
    ended = None
    if not args.table_only:
        args.work_dir.mkdir(parents=True, exist_ok=True)
        record_trials(trials, args.work_dir)
        chosen = trials if args.task is None else [trials[args.task]]
        ended = train(args, chosen)
    results = [read_result(t, args.metric, args.best) for t in trials]
    write_results(args, summarize(make_samples(results), args.baseline))
    if ended is not None:
        return EXIT_CODE if ended == signal.SIGTERM else 130
    checked = results if args.task is None else [results[args.task]]
    return int(any(r.status not in ('complete', 'running') for r in checked))


if __name__ == '__main__':
    sys.exit(main())
