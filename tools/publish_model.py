"""Make of a checkpoint or a packed file what is published of it."""
import argparse
import sys
from pathlib import Path


def parse_args():
    parser = argparse.ArgumentParser(
        description='Strip a checkpoint (of the states of the optimizer, of '
        'random numbers and of the log, and of paths of this machine), or a '
        'packed file (of paths), put date and hash into its name, and print '
        'its row for a metafile')
    parser.add_argument('in_file', help='checkpoint or packed file')
    parser.add_argument(
        'out_file',
        help='its name without date and hash: NAME.pth or NAME.safetensors')
    parser.add_argument(
        '--config',
        help='config file (default for checkpoints: what they record)')
    parser.add_argument(
        '--no-ema',
        action='store_true',
        help='publish the trained weights and not their averages')
    parser.add_argument(
        '--url', help='address of the folder where it will be found')
    parser.add_argument(
        '--metrics',
        metavar='JSON',
        help='file with what tools/test.py CONFIG IN_FILE --json printed')
    parser.add_argument(
        '--command', help='the command that the network was trained with')
    args = parser.parse_args()
    packed = args.in_file.endswith('.safetensors')
    suffix = '.safetensors' if packed else '.pth'
    if not args.out_file.endswith(suffix):
        parser.error(f'{args.out_file} must end with {suffix}')
    if packed and not args.config:
        parser.error('a packed file does not hold the config that its row '
                     'needs: give --config FILE')
    return args


def say(text):
    print(text, file=sys.stderr)


def from_checkpoint(args):
    """What is published, its config and the day it was trained."""
    from mmreact.engine import publishing
    from mmreact.utils.checkpoint import load_checkpoint, recorded_meta
    from mmreact.utils.config_files import read_config
    from mmreact.utils.recorded_config import recorded_config
    content = load_checkpoint(args.in_file)
    cfg = read_config(args.config) if args.config else recorded_config(
        content, args.in_file)
    kept = publishing.published_checkpoint(content, cfg, args.in_file,
                                           not args.no_ema)
    if 'ema_state_dict' in content:
        say('The weights are ' +
            ('those that were trained.' if args.no_ema else
             'averages (EMA); --no-ema publishes those that were trained.'))
    elif args.no_ema:
        say('It has no averages (EMA), so --no-ema changes nothing.')
    if publishing.left_out(content, kept):
        say(f'Left out: {", ".join(publishing.left_out(content, kept))}.')
    day = publishing.training_day(recorded_meta(content))
    return publishing.checkpoint_bytes(kept), cfg, day


def from_packed(args):
    """As :func:`from_checkpoint`; the day is today's."""
    from mmreact.engine import publishing
    from mmreact.utils.config_files import read_config
    data = publishing.published_packed(args.in_file)
    return data, read_config(args.config), publishing.training_day({})


def main():
    args = parse_args()
    import yaml

    import mmreact.models  # noqa: F401, registers
    from mmreact.engine import metafile_row
    from mmreact.engine.publishing import published_path
    from mmreact.packed.container import write
    from mmreact.utils.checkpoint import CheckpointError
    packed = args.in_file.endswith('.safetensors')
    try:
        metrics = args.metrics and metafile_row.read_metrics(
            args.metrics, args.in_file)
        data, cfg, day = (from_packed if packed else from_checkpoint)(args)
        path = published_path(data, args.out_file, day)
        trained = args.command and dict(
            Command=args.command, Date=f'{day[:4]}-{day[4:6]}-{day[6:]}')
        row = metafile_row.metafile_row(
            cfg, args.config,
            Path(args.config or args.out_file).stem,
            metafile_row.file_fields(path.name, data, args.url), metrics,
            trained)
        write(path, data)
    except (CheckpointError, OSError, ValueError) as error:
        return f'Error: {error}'
    print(yaml.safe_dump([row], sort_keys=False, allow_unicode=True), end='')
    for flag, what in dict(
            url='where it will be found',
            metrics='what it reaches',
            command='how it was trained').items():
        if getattr(args, flag) is None:
            say(f'The row does not say {what}: --{flag}.')
    say(f'{path}: {len(data):,} bytes')


if __name__ == '__main__':
    sys.exit(main())
