"""Arguments that several tools share."""
import argparse
import ast
import os
import sys
from typing import Any, Callable, Optional

from mmengine.config import DictAction

from .input_errors import is_about_input


class ConfigOptions(DictAction):
    """``--cfg-options key=value ...``, with MMEngine's values and Python's.

    A value that begins with a quote or a bracket and is a Python literal is
    taken as that: ``'"1,2"'`` is a string, ``'[dict]'`` is not a literal. The
    others are MMEngine's: ``1,2`` and ``[a,b]`` are lists.
    """

    def __call__(self, parser, namespace, values, option_string=None):
        options = dict(getattr(namespace, self.dest, None) or {})
        for text in values:
            key, equals, value = text.partition('=')
            if not equals or not key:
                parser.error(f'{option_string} takes key=value, got {text!r}')
            try:
                options[key] = parse_value(value)
            except (AssertionError, RecursionError) as error:
                parser.error(f'{option_string} {text}: {error}')
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> Any:
    """The value of an option."""
    if text[:1] in ('"', "'", '[', '(', '{'):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            pass
    elif ',' not in text:  # MMEngine would take spaces out of a path
        return DictAction._parse_int_float_bool(text)
    return DictAction._parse_iterable(text)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override settings of the config. A list is written key="[a,b]" '
        "or key=a,b, a string with commas key='\"a,b\"'")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--data-root``, ``--cfg-options``, ``--launcher``.
    """
    parser.add_argument(
        '--work-dir',
        help='directory for logs and checkpoints (default: work_dir of the '
        'config, else work_dirs/<config name>)')
    parser.add_argument('--data-root', help='root of the data set')
    add_cfg_options(parser)
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
    """Parse, and set what launchers leave to the program."""
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def run(main: Callable[[], Optional[str]]) -> None:
    """Run a tool; Ctrl+C ends it with 130.

    Ctrl+C and errors in what the user gave print no traceback.
    """
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not is_about_input(error):
            raise
        sys.exit(f'Error: {error}')
