"""Data loaders of a config, before MMEngine builds them."""
from mmengine.config import Config

#: Options of torch's DataLoader that it refuses without worker processes.
OF_WORKERS = ('persistent_workers', 'prefetch_factor',
              'multiprocessing_context')


def leave_workers_out(cfg: Config) -> None:
    """Drop what is said of workers where ``num_workers`` is 0.

    Configs keep their workers (``persistent_workers=True``); with
    ``--cfg-options train_dataloader.num_workers=0`` there is none to keep.
    """
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader and loader.get('num_workers', 0) == 0:
            for key in OF_WORKERS:
                loader.pop(key, None)
