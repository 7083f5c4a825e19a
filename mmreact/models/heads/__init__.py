from .distributional_loss_head import DistributionalLossHead

__all__ = ['DistributionalLossHead']
