"""Compare networks: what each costs, counted, beside what was published.

The rows come from metafiles in the form of OpenMMLab's model index. Three
optional fields of a row's ``Metadata`` are read besides the usual ones::

    Network: ReActNet-B      # its name in the comparison
    Family: ReActNet         # what it is drawn with; default: the collection
    Published:               # as printed: text, so that no digit is lost
      BOPs: '4.69e9'
      OPs: '1.63e8'
      Source: the paper

Counted and published figures never share a column.
"""
import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Callable, Dict, Iterable, List, Optional, Tuple

from .ops_report import OpsReport

#: Printed quantities and the totals of a count that they are compared with.
QUANTITIES = dict(BOPs='bops', FLOPs='flops', OPs='ops', Parameters='params')
DATASET = 'ImageNet-1k'
COLUMNS = ('Network', 'Family', 'Params (M)', '1-bit (M)', 'Packed (MB)',
           'BOPs (1e9)', 'FLOPs (1e8)', 'OPs (1e8)', 'OPs published', 'Top-1',
           'Top-5', 'Published')


@dataclass
class Network:
    """One network; ``counted`` are the totals of an :class:`OpsReport`.

    ``published`` holds the printed quantities as text, ``top1``, ``top5``
    and ``source`` the published accuracy on ImageNet-1k, if there is one.
    """
    name: str
    family: str
    config: str
    published: Dict[str, str] = field(default_factory=dict)
    top1: Optional[float] = None
    top5: Optional[float] = None
    source: Optional[str] = None
    counted: Dict[str, float] = field(default_factory=dict)

    def differences(self) -> List[Tuple[str, float, str]]:
        """``(quantity, counted, printed)`` where rounding does not explain it.
        """
        pairs = [(quantity, self.counted[QUANTITIES[quantity]], printed)
                 for quantity, printed in self.published.items()]
        return [pair for pair in pairs if not rounds_to(*pair[1:])]

    def cells(self) -> List[str]:
        """The columns of the comparison, counted ones before published.

        A star marks printed OPs that are not the counted ones, rounded.
        """
        counted = self.counted
        differs = 'OPs' in [quantity for quantity, *_ in self.differences()]
        accuracy = ('–' if x is None else f'{x:g}'
                    for x in (self.top1, self.top5))
        units = (('params', 1e6, 2), ('one_bit_params', 1e6,
                                      2), ('packed_bytes', 1e6, 2),
                 ('bops', 1e9, 3), ('flops', 1e8, 3), ('ops', 1e8, 3))
        return [
            self.name, self.family,
            *(f'{counted[name] / unit:.{digits}f}' if counted[name] else '–'
              for name, unit, digits in units),
            self.published.get('OPs', '–') + '*' * differs, *accuracy,
            (self.source or '–').removeprefix('published ')
        ]


def rounds_to(count: float, printed: str) -> bool:
    """Whether a count, rounded to the printed digits, is what is printed."""
    printed = Decimal(printed)
    digit = Decimal(1).scaleb(printed.as_tuple().exponent)
    return Decimal(count).quantize(digit, ROUND_HALF_UP) == printed


def select_networks(metafiles: Iterable[dict]) -> List[Network]:
    """Choose the rows of metafiles that are networks, not yet counted.

    Left out are stages before the last (``-stage1`` in the name) and rows
    that have neither a published ImageNet-1k accuracy nor a ``Network``, as
    ablations. Rows of one network with the same published accuracy (recipes
    for it) are one, the first; without a ``Network`` its name is the part of
    the row's name before the first ``_``.

    Raises:
        ValueError: If ``Published`` has an unknown quantity or a value that
            is not a number as quoted text.
    """
    chosen: Dict[tuple, Network] = {}
    for row in (row for metafile in metafiles for row in metafile['Models']):
        result = next((result for result in row.get('Results') or []
                       if result['Dataset'] == DATASET
                       and result.get('Source', '').startswith('published')),
                      None)
        metadata = row['Metadata']
        stage = re.search(r'-stage\d+_', row['Name'])
        if stage or not (result or 'Network' in metadata):
            continue
        metrics = result['Metrics'] if result else {}
        network = Network(
            name=metadata.get('Network', row['Name'].split('_')[0]),
            family=metadata.get('Family', row['In Collection']),
            config=row['Config'],
            published=_published(row),
            top1=metrics.get('Top 1 Accuracy'),
            top5=metrics.get('Top 5 Accuracy'),
            source=result['Source'] if result else None)
        chosen.setdefault((network.name, network.top1, network.top5), network)
    return list(chosen.values())


def _published(row: dict) -> Dict[str, str]:
    """The printed quantities of a row."""
    printed = dict(row['Metadata'].get('Published') or {})
    printed.pop('Source', None)
    for quantity, value in printed.items():
        number = isinstance(value, str) and re.fullmatch(
            r'\d+(\.\d+)?(e\d+)?', value)
        if quantity not in QUANTITIES or not number:
            raise ValueError(
                f'Published {quantity} of {row["Name"]} is {value!r}. '
                f'Expected one of {", ".join(QUANTITIES)} as it is printed, '
                "quoted: '1.63e8'.")
    return printed


def compare(metafiles: Iterable[dict],
            count: Callable[[str], OpsReport]) -> List[Network]:
    """Select the networks, count them, and sort them by counted OPs.

    Args:
        metafiles (Iterable[dict]): Their contents.
        count (Callable): Counts the network of a config, given its path as in
            the metafile.
    """
    networks = select_networks(metafiles)
    for network in networks:
        network.counted = count(network.config).totals()
    return sorted(networks, key=lambda network: network.counted['ops'])


def text_table(networks: Iterable[Network]) -> str:
    """The comparison for a terminal."""
    rows = [COLUMNS, *(network.cells() for network in networks)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    left = {0, 1, len(COLUMNS) - 1}
    return '\n'.join('  '.join(
        cell.ljust(width) if i in left else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
                     for row in rows)


def markdown_table(networks: Iterable[Network], links: str = '../') -> str:
    """The comparison in Markdown, names linked to configs below ``links``."""
    lines = [_markdown(COLUMNS), '|---|---|' + '--:|' * 9 + '---|']
    for network in networks:
        name, *cells = network.cells()
        lines.append(_markdown([f'[{name}]({links}{network.config})', *cells]))
    return '\n'.join(lines)


def difference_rows(networks: Iterable[Network]) -> List[str]:
    """A row of Markdown for each printed figure that was not counted.

    Network, quantity, counted, printed, and by how much the printed figure
    is more.
    """
    return [
        _markdown([
            network.name, quantity, f'{counted:,}', printed,
            f'{100 * (float(printed) / counted - 1):+.1f} %' if counted else ''
        ]) for network in networks
        for quantity, counted, printed in network.differences()
    ]


def _markdown(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'
