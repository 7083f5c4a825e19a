"""What a network costs."""
from .ops_counter import LayerOps, OpsReport, count_ops

__all__ = ['LayerOps', 'OpsReport', 'count_ops']
