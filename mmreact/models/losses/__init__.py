from .distributional_loss import DistributionalLoss

__all__ = ['DistributionalLoss']
