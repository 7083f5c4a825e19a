"""Write the results into the pages of docs, and draw plots.

The pages keep their text; what stands between ``<!-- NAME -->`` and
``<!-- end -->`` is made of the JSON files.
"""
import argparse
import json
import re
import sys
from pathlib import Path
from typing import Callable, Dict

from . import data_tables, tables, training_tables
from .harness import say
from .plots import draw
from .run_all import RUNS
from .targets import Results

DOCS = Path(__file__).resolve().parents[1] / 'docs'
#: Name of a page -> functions that make its tables.
PAGES = {
    'performance.md': tables.SECTIONS,
    'training.md': {
        **training_tables.SECTIONS,
        **data_tables.SECTIONS
    },
}
Sections = Dict[str, Callable[[Results], str]]
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


def fill(page: str, results: Results, sections: Sections) -> str:
    """Put the tables between their markers.

    Raises:
        ValueError: If the page lacks one, or has one that is not known.
    """
    found = [match[2] for match in MARKER.finditer(page)]
    if sorted(found) != sorted(sections):
        raise ValueError(f'The page has the markers {", ".join(found)}, and '
                         f'should have {", ".join(sections)}, each once.')
    return MARKER.sub(
        lambda match: f'{match[1]}{sections[match[2]](results)}\n{match[3]}',
        page)


def main(argv=None):
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument(
        '--results',
        type=Path,
        default=RESULTS,
        help='folder of the JSON files (default: benchmarks/results)')
    args.add_argument(
        '--docs', type=Path, default=DOCS, help='folder of the pages')
    args = args.parse_args(argv)
    try:
        results = read(args.results)
    except FileNotFoundError as error:
        return (f'Error: {error.filename} is missing. Measure it: python -m '
                'benchmarks.run_all')
    pages = {
        path: fill(path.read_text('utf-8'), results, sections)
        for path, sections in ((args.docs / name, sections)
                               for name, sections in PAGES.items())
    }
    for path, text in pages.items():
        path.write_text(text, 'utf-8')
    for path in (*pages, *draw(results, args.docs)):
        say(f'wrote {path}')


if __name__ == '__main__':
    sys.exit(main())
