"""Compare the networks of the model index: counted costs, published results.

Without an option the table is printed, and below it every printed figure that
is not the counted one.
"""
import argparse
import difflib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parents[2]
COMMAND = 'python tools/analysis_tools/compare_networks.py --write'
SHAPE = (3, 224, 224)
PAGE = '''# The networks side by side

This page is generated, from the metafiles that
[model-index.yml](../model-index.yml) lists. Do not edit it; run

    {command}

Parameters, 1-bit parameters, packed size, BOPs, FLOPs and OPs are counted on
the built networks for one 224x224 image; [ops.md](ops.md) says how. "OPs
published", top-1 and top-5 (ImageNet-1k) are what others published, as
printed; none was measured with this code. A star marks printed OPs that are
not the counted ones, rounded; [ops.md](ops.md) names every such figure, and
why. Networks are sorted by counted OPs. Left out are stages before the last,
ablations, and recipes that share network and result with another.

{table}

![Published top-1 accuracy over operations](networks.svg)

Filled markers stand at the published OPs, hollow ones at the counted OPs of
networks of which none are published.
'''


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--index',
        type=Path,
        default=ROOT / 'model-index.yml',
        help='model index (default: this repository\'s)')
    parser.add_argument(
        '--markdown', type=Path, metavar='FILE', help='write the page to FILE')
    parser.add_argument(
        '--plot',
        type=Path,
        metavar='FILE',
        help='draw top-1 over OPs to FILE (.png or .svg)')
    parser.add_argument(
        '--write',
        action='store_true',
        help='write docs/networks.md and docs/networks.svg beside the index')
    parser.add_argument(
        '--check',
        action='store_true',
        help='fail if docs/networks.md is not current')
    parser.add_argument(
        '--json', action='store_true', help='print one line of JSON')
    args = parser.parse_args(argv)
    if args.plot and args.plot.suffix not in ('.png', '.svg'):
        parser.error('--plot takes a file name that ends in .png or .svg')
    if not args.index.is_file():
        parser.error(f'there is no model index {args.index}')
    return args


def read_metafiles(index):
    """Yield the contents of the metafiles that a model index imports."""
    for name in yaml.safe_load(index.read_text())['Import']:
        yield yaml.safe_load((index.parent / name).read_text())


def count_config(path):
    """Build the network of a config and count it."""
    from mmpretrain.registry import MODELS

    import mmreact.models  # noqa: F401, registers
    from mmreact.analysis import count_ops
    init_default_scope('mmpretrain')
    print(f'counting {path.stem}', file=sys.stderr, flush=True)
    return count_ops(MODELS.build(Config.fromfile(path).model), SHAPE)


def check_page(path, page):
    """Say what is not current in the page, if anything.

    Returns:
        int: 0 if it is current, else 1.
    """
    given = path.read_text(encoding='utf-8') if path.is_file() else ''
    if given == page:
        print(f'{path} is current.')
        return 0
    diff = difflib.unified_diff(
        given.splitlines(), page.splitlines(), str(path), 'counted now', n=0)
    print('\n'.join(line.rstrip('\n') for line in diff))
    print(f'{path} is not current. Run: {COMMAND}', file=sys.stderr)
    return 1


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    print(f'wrote {path}', file=sys.stderr)


def main(argv=None, count=count_config):
    args = parse_args(argv)
    from mmreact.analysis.networks import (compare, difference_rows,
                                           markdown_table, text_table)
    networks = compare(
        read_metafiles(args.index),
        lambda config: count(args.index.parent / config))
    page = PAGE.format(command=COMMAND, table=markdown_table(networks))
    docs = args.index.parent / 'docs'
    plots = [args.plot] if args.plot else []
    pages = [args.markdown] if args.markdown else []
    if args.write:
        pages.append(docs / 'networks.md')
        plots.append(docs / 'networks.svg')
    for path in pages:
        write(path, page)
    if plots:
        from mmreact.analysis.network_plot import plot_networks, save_plot
        for path in plots:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_plot(plot_networks(networks), path)
            print(f'wrote {path}', file=sys.stderr)
    if args.json:
        print(json.dumps([asdict(network) for network in networks]))
    elif not (pages or plots or args.check):
        print(text_table(networks))
        differences = difference_rows(networks)
        if differences:
            print('\nPrinted, but not what is counted (docs/ops.md says why):'
                  '\n| Network | Quantity | Counted | Printed | Printed is |')
            print('\n'.join(differences))
    return check_page(docs / 'networks.md', page) if args.check else 0


if __name__ == '__main__':
    sys.exit(main())
