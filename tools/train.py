"""Train a network, and first whatever its config starts from."""
import argparse

from mmreact.utils.cli import add_run_arguments, parse_run_args, run


def parse_args():
    parser = argparse.ArgumentParser(
        description='Train a network. The runs that its config needs first '
        '(earlier stage, teacher) are trained too, unless they are complete, '
        'each in a folder of its own below the work directory. '
        '--cfg-options go to all of them, name:key=value to one.')
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
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
    add_run_arguments(parser)
    return parse_run_args(parser)


def main():
    args = parse_args()
    from mmreact.engine.preemption import handle_signals
    from mmreact.engine.stages import Options, make_plan, train_plan
    from mmreact.utils.input_errors import input_errors
    options = Options.from_flags(
        cfg_options=args.cfg_options,
        data_root=args.data_root,
        seed=args.seed,
        deterministic=args.deterministic,
        amp=args.amp,
        validate=not args.no_validate,
        auto_scale_lr=args.auto_scale_lr)
    with handle_signals():
        with input_errors():
            plan = make_plan(
                args.config,
                args.work_dir,
                options,
                start_from=args.start_from,
                teacher=args.teacher)
        train_plan(
            plan,
            resume=args.resume,
            reset_head=args.reset_head,
            launcher=args.launcher)


if __name__ == '__main__':
    run(main)
