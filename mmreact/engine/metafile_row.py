"""The row of a metafile for a published file."""
import hashlib
import json
from pathlib import Path
from typing import Mapping, Optional, Union

import yaml
from mmengine.config import Config

from ..analysis import count_ops
from .packing import build_model
from .test_images import input_channels, input_size

#: Data set of a config -> its name in metafiles.
DATASETS = dict(
    ImageNet='ImageNet-1k', FashionMNIST='Fashion-MNIST', CIFAR10='CIFAR-10')


def metafile_row(cfg: Config,
                 config: Optional[str],
                 name: str,
                 fields: Mapping,
                 metrics: Optional[Mapping] = None,
                 trained: Optional[Mapping] = None) -> dict:
    """The row of a metafile: what it was, counted, measured and published.

    Args:
        cfg (Config): The network's config.
        config (str, optional): Its file. If the metafile beside it has a row
            of this name, that is what the new fields are put into.
        name (str): The network's name.
        fields (Mapping): Those of the file.
        metrics (Mapping, optional): What tools/test.py --json printed.
        trained (Mapping, optional): ``Command`` and ``Date``.

    Raises:
        LoweringError: If the test pipeline does not say the images' size.
    """
    row = _old_row(config, name) or dict(Name=name)
    shape = (input_channels(cfg), *input_size(cfg))
    report = count_ops(build_model(cfg), shape)
    row['Metadata'] = {
        **(row.get('Metadata') or {}), 'FLOPs': report.flops,
        'BOPs': report.bops,
        'OPs': report.ops,
        'Parameters': report.params,
        '1-bit Parameters': report.one_bit_params
    }
    dataset = cfg.test_dataloader.dataset.type
    dataset = DATASETS.get(dataset, dataset)
    if metrics is not None:
        row['Results'] = [*_published(row), _measured(metrics, dataset)]
    row.update(fields)
    if trained is not None:
        row['Trained'] = dict(
            Command=trained['Command'], Data=dataset, Date=trained['Date'])
    if config is not None:
        row['Config'] = row.pop('Config', config)  # last, as elsewhere
    return row


def _old_row(config: Optional[str], name: str) -> dict:
    metafile = config and Path(config).with_name('metafile.yml')
    if not metafile or not metafile.is_file():
        return {}
    models = yaml.safe_load(metafile.read_text())['Models']
    return next((dict(row) for row in models if row['Name'] == name), {})


def _published(row: Mapping) -> list:
    return [
        result for result in row.get('Results') or []
        if not str(result.get('Source')).startswith('measured')
    ]


def _measured(metrics: Mapping, dataset: str) -> dict:
    return dict(
        Dataset=dataset,
        Task='Image Classification',
        Metrics={
            f'Top {k} Accuracy': round(metrics[f'accuracy/top{k}'], 2)
            for k in (1, 5)
        },
        Source='measured here: python tools/test.py')


def read_metrics(path: Union[str, Path], tested: Union[str, Path]) -> dict:
    """Read what tools/test.py --json printed about a file.

    Raises:
        ValueError: If it is something else, or about another file.
    """
    try:
        metrics = json.loads(Path(path).read_text())
        numbers = [metrics[f'accuracy/top{k}'] for k in (1, 5)]
        about = Path(metrics['checkpoint'])
        good = all(type(n) in (int, float) and 0 <= n <= 100 for n in numbers)
    except (ValueError, TypeError, KeyError):
        good = False
    if not good:
        raise ValueError(f'{path} is not what python tools/test.py CONFIG '
                         f'{tested} --json prints.')
    if about.resolve() != Path(tested).resolve():
        raise ValueError(f'{path} is about {about}, not about {tested}. Test '
                         'that file.')
    return metrics


def file_fields(name: str, data: bytes, url: Optional[str]) -> dict:
    """The fields of a row for a published file.

    Args:
        name (str): Of the file; packed ones end with .safetensors.
        data (bytes): The file.
        url (str, optional): Address of the folder where it will be found.
    """
    address = f'{url.rstrip("/")}/{name}' if url else None
    digest = hashlib.sha256(data).hexdigest()
    if not name.endswith('.safetensors'):
        return {
            'Weights': address or name,
            'Weights SHA256': digest,
            'Weights Bytes': len(data)
        }
    fields = dict(File=name, URL=address, SHA256=digest, Bytes=len(data))
    return dict(Packed={k: v for k, v in fields.items() if v is not None})
