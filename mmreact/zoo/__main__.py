"""``python -m mmreact.zoo``: list, info, download; convert and publish."""
import argparse
import json
import runpy
import sys
from pathlib import Path
from typing import Dict, List, Optional

from . import tables
from .catalogue import find_root, info, list_models
from .download import file_hash
from .errors import ZooError
from .files import checkpoint_file, original_file, packed_file

#: Commands that are scripts of their own, below tools/.
SCRIPTS = dict(
    convert=('model_converters/convert_official.py',
             "make a checkpoint of the authors' file"),
    publish=('publish_model.py', 'strip, name and describe a checkpoint'))


def find_scripts() -> Dict[str, Path]:
    """The scripts that are there, by the name of their command."""
    tools = find_root() / 'tools'
    paths = {name: tools / script for name, (script, _) in SCRIPTS.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def parse_args(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='zoo', description='Networks by name and their files')
    commands = parser.add_subparsers(dest='command', required=True)
    command = commands.add_parser('list', help='list the networks')
    command.add_argument(
        'pattern', nargs='?', help='only names that start so; * ? are free')
    command.add_argument(
        '--weights', action='store_true', help='only networks with weights')
    command.add_argument('--json', action='store_true', help='print JSON')
    command = commands.add_parser('info', help='all about one network')
    command.add_argument('name')
    command.add_argument('--json', action='store_true', help='print JSON')
    command = commands.add_parser(
        'download', help='bring files into the cache and print their paths')
    command.add_argument('name', nargs='+')
    kind = command.add_mutually_exclusive_group()
    kind.add_argument(
        '--packed', action='store_true', help='the packed file instead')
    kind.add_argument(
        '--original',
        action='store_true',
        help="the authors' file, to be converted")
    command.add_argument('--json', action='store_true', help='print JSON')
    for name in find_scripts():
        script, text = SCRIPTS[name]
        commands.add_parser(name, help=f'{text} (tools/{script})')
    return parser.parse_args(argv)


def show_list(args: argparse.Namespace) -> None:
    rows = [info(name) for name in list_models(args.pattern)]
    if args.weights:
        rows = [row for row in rows if row.weights or row.packed]
    if args.json:
        print(json.dumps([row.to_dict() for row in rows], default=str))
    else:
        tables.print_list(rows)


def show_info(args: argparse.Namespace) -> None:
    row = info(args.name)
    if args.json:
        print(json.dumps(row.to_dict(), default=str))
    else:
        tables.print_info(row)


def download(args: argparse.Namespace) -> None:
    kind = 'packed' if args.packed else 'original' if args.original else \
        'weights'
    get = dict(
        packed=packed_file, original=original_file, weights=checkpoint_file)
    for name in args.name:
        path = get[kind](name)
        checked = getattr(info(name), kind).checked
        row = dict(
            name=name,
            file=str(path),
            sha256=file_hash(path),
            compared_with=checked)
        print(json.dumps(row) if args.json else path)
        if not args.json:
            print(
                f'sha256 {row["sha256"]}, compared with {checked}',
                file=sys.stderr)


def main(argv: Optional[List[str]] = None) -> Optional[str]:
    argv = sys.argv[1:] if argv is None else argv
    try:
        script = find_scripts().get(argv[0] if argv else '')
        if script:  # it parses what follows, and ends by itself
            sys.argv = [str(script), *argv[1:]]
            runpy.run_path(str(script), run_name='__main__')
            return None
        args = parse_args(argv)
        dict(
            list=show_list, info=show_info, download=download)[args.command](
                args)
    except ZooError as error:
        return f'Error: {error}'
    return None


if __name__ == '__main__':
    sys.exit(main())
