"""Run a checkpoint on images of its data and look at its activations."""
from copy import deepcopy
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from torch import Tensor

from ..analysis.activations import (Distribution, record_distributions,
                                    sign_layers)
from .packing import load_model
from .stages.checks import check_dataset

BATCH = 16


@torch.no_grad()
def activation_distributions(cfg: Config,
                             checkpoint: Union[str, Path],
                             number: int,
                             split: str = 'test',
                             layers: Optional[Sequence[str]] = None,
                             device: str = 'cpu') -> Dict[str, Distribution]:
    """How the activations of a checkpoint are distributed, layer by layer.

    The network is in eval mode.

    Args:
        cfg (Config): Its config.
        checkpoint (str | Path): File or address.
        number (int): How many images; all, if there are fewer.
        split (str): 'test' or 'train': whose images, evenly spread over the
            set. Both go through the test pipeline.
        layers (Sequence[str], optional): Patterns of layers, see
            :func:`mmreact.analysis.panels.select_layers`.
        device (str): Where the network runs.

    Raises:
        CheckpointError: If the checkpoint cannot be read or does not fit.
        FileNotFoundError: If the data set is not there.
        ValueError: If no layer has an RSign, or a pattern matches none.
    """
    model = load_model(cfg, checkpoint).to(device)
    with record_distributions(sign_layers(model, layers)) as found:
        for inputs in _images(cfg, number, split):
            data = model.data_preprocessor(dict(inputs=inputs))
            model(data['inputs'], mode='tensor')
    return found


def _images(cfg: Config, number: int, split: str) -> Iterator[Tensor]:
    """Batches of images that are evenly spread over a data set."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    config = deepcopy(cfg[f'{split}_dataloader'].dataset)
    while 'dataset' in config:  # a wrapper, such as RepeatDataset
        config = config.dataset
    config.pipeline = cfg.test_dataloader.dataset.pipeline
    check_dataset(config)
    dataset = DATASETS.build(config)
    number = min(number, len(dataset))
    chosen = np.linspace(0, len(dataset) - 1, number).round().astype(int)
    for start in range(0, number, BATCH):
        yield default_collate(
            [dataset[i]['inputs'] for i in chosen[start:start + BATCH]])
