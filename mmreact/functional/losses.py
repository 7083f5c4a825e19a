"""The distributional loss of ReActNet (Liu et al., ECCV 2020)."""
import torch.nn.functional as F
from torch import Tensor


def distributional_loss(student_logits: Tensor,
                        teacher_logits: Tensor) -> Tensor:
    """Cross-entropy of the student's to the teacher's class distribution.

    ``mean_n( -sum_c softmax(t_n)_c * log_softmax(s_n)_c )``, temperature 1,
    no label term. It is the KL divergence from teacher to student plus the
    teacher's entropy, which is constant for the student: the gradient is the
    same, ``(softmax(s) - softmax(t)) / N``.

    Args:
        student_logits (Tensor): ``(N, num_classes)``.
        teacher_logits (Tensor): ``(N, num_classes)``; gets no gradient.

    Returns:
        Tensor: The scalar loss, in nats.

    Raises:
        ValueError: If the shapes differ.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            'Student and teacher must give logits of one shape '
            f'(N, num_classes), got {tuple(student_logits.shape)} and '
            f'{tuple(teacher_logits.shape)}. Use a teacher with the '
            'student\'s number of classes.')
    return F.cross_entropy(student_logits,
                           teacher_logits.detach().softmax(dim=1))
