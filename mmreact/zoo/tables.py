"""The catalogue in a terminal."""
from typing import Iterable, Mapping, Optional, Sequence

from rich.console import Console
from rich.table import Table

from .rows import ModelInfo, ZooFile

#: Where standard output is no terminal: wide enough for the longest name.
WIDTH = 150


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(
        width=WIDTH, highlight=False, markup=False, emoji=False)


def top1(results: Sequence[Mapping]) -> str:
    """The best top-1 of some results, or a dash."""
    found = [
        result['Metrics']['Top 1 Accuracy'] for result in results
        if 'Top 1 Accuracy' in result['Metrics']
    ]
    return f'{max(found):.2f}' if found else '–'


def dataset(row: ModelInfo) -> str:
    """What the results of a row were measured on."""
    names = {result['Dataset'] for result in row.published + row.measured}
    return ', '.join(sorted(names)) or '–'


def number(value: Optional[float]) -> str:
    """2.9e7 as 29.3 M."""
    if not value:
        return '–'
    for unit, sign in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if value >= unit:
            return f'{value / unit:.1f} {sign}'
    return str(value)


def print_list(rows: Iterable[ModelInfo]) -> None:
    """A line for each network; published and measured figures apart."""
    table = Table(box=None, header_style='bold', pad_edge=False)
    table.add_column('Name', no_wrap=True)
    table.add_column('Measured on')
    for title in ('Params', '1-bit', 'OPs', 'Top-1 published', 'Top-1 here'):
        table.add_column(title, justify='right')
    table.add_column('Weights')
    for row in rows:
        table.add_row(
            row.name, dataset(row),
            *(number(row.metadata.get(key))
              for key in ('Parameters', '1-bit Parameters', 'OPs')),
            top1(row.published), top1(row.measured), row.origin)
    _console().print(table)


def print_info(row: ModelInfo) -> None:
    """Everything about one network."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style='bold')
    table.add_column(overflow='fold')
    table.add_row('Name', row.name)
    table.add_row('Config', row.config)
    table.add_row('Collection', row.collection)
    for key in ('Parameters', '1-bit Parameters', 'BOPs', 'FLOPs', 'OPs'):
        if key in row.metadata:
            table.add_row(key, f'{row.metadata[key]:,}')
    for title, results in (('Published', row.published), ('Measured here',
                                                          row.measured)):
        for result in results:
            metrics = ', '.join(f'{key} {value}'
                                for key, value in result['Metrics'].items())
            table.add_row(
                title, f'{metrics} on {result["Dataset"]} '
                f'({result["Source"]})')
        if not results:
            table.add_row(title, 'nothing')
    table.add_row('Weights', row.origin)
    for key, value in row.trained.items():
        table.add_row(f'  {key}', str(value))
    for title, file in (('Checkpoint', row.weights),
                        ('Authors\' file', row.original), ('Packed file',
                                                           row.packed)):
        if file:
            table.add_row(title, describe(file))
    _console().print(table)


def describe(file: ZooFile) -> str:
    """Where a file is, how large, and what it is compared with."""
    size = f', {file.bytes:,} bytes' if file.bytes else ''
    place = file.path or file.url
    return (f'{file.name}{size}, sha256 {file.sha256 or "unknown"}, checked '
            f'against {file.checked}: {place}')
