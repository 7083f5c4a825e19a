"""Write the results into docs/performance.md, and draw its plots.

The page keeps its text; what stands between ``<!-- NAME -->`` and
``<!-- end -->`` is made of the JSON files.
"""
import argparse
import json
import re
import sys
from pathlib import Path

from .harness import say
from .plots import draw
from .run_all import RUNS
from .tables import SECTIONS
from .targets import Results

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'performance.md'
RESULTS = Path(__file__).with_name('results')
MARKER = re.compile(r'(<!-- (\w+) -->\n).*?(<!-- end -->)', re.DOTALL)


def read(folder: Path) -> Results:
    """The JSON files of a folder, in the order that they are measured in.

    Raises:
        FileNotFoundError: If one is missing.
    """
    return {
        name: json.loads((folder / f'{name}.json').read_text('utf-8'))
        for name in RUNS
    }


def fill(page: str, results: Results) -> str:
    """Put the tables between their markers.

    Raises:
        ValueError: If the page lacks one, or has one that is not known.
    """
    found = [match[2] for match in MARKER.finditer(page)]
    if sorted(found) != sorted(SECTIONS):
        raise ValueError(f'The page has the markers {", ".join(found)}, and '
                         f'should have {", ".join(SECTIONS)}, each once.')
    return MARKER.sub(
        lambda match: f'{match[1]}{SECTIONS[match[2]](results)}\n{match[3]}',
        page)


def main(argv=None):
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument(
        '--results',
        type=Path,
        default=RESULTS,
        help='folder of the JSON files (default: benchmarks/results)')
    args.add_argument(
        '--page', type=Path, default=PAGE, help='(default: %(default)s)')
    args = args.parse_args(argv)
    try:
        results = read(args.results)
    except FileNotFoundError as error:
        return (f'Error: {error.filename} is missing. Measure it: python -m '
                'benchmarks.run_all')
    args.page.write_text(fill(args.page.read_text('utf-8'), results), 'utf-8')
    for path in (args.page, *draw(results, args.page.parent)):
        say(f'wrote {path}')


if __name__ == '__main__':
    sys.exit(main())
