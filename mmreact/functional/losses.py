"""Losses that compare a student with a teacher."""
from typing import Sequence

import torch.nn.functional as F
from torch import Tensor


def distributional_loss(student_logits: Tensor,
                        teacher_logits: Tensor) -> Tensor:
    """Cross-entropy of the student's to the teacher's class distribution.

    ``mean_n( -sum_c softmax(t_n)_c * log_softmax(s_n)_c )``, temperature 1,
    no label term (ReActNet, Liu et al., ECCV 2020). It is the KL divergence
    from teacher to student plus the teacher's entropy, which is constant for
    the student: the gradient is the same, ``(softmax(s) - softmax(t)) / N``.

    Args:
        student_logits (Tensor): ``(N, num_classes)``.
        teacher_logits (Tensor): ``(N, num_classes)``; gets no gradient.

    Returns:
        Tensor: The scalar loss, in nats.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_logits(student_logits, teacher_logits)
    return F.cross_entropy(student_logits,
                           teacher_logits.detach().softmax(dim=1))


def distillation_loss(student_logits: Tensor,
                      teacher_logits: Tensor,
                      temperature: float = 1.0) -> Tensor:
    """Knowledge distillation (Hinton et al., arXiv:1503.02531).

    ``T^2 mean_n KL( softmax(t_n / T) || softmax(s_n / T) )``, which is 0 where
    both agree. The gradient is ``T (softmax(s / T) - softmax(t / T)) / N``;
    ``T^2`` keeps its size when T changes.

    Args:
        student_logits (Tensor): ``(N, num_classes)``.
        teacher_logits (Tensor): ``(N, num_classes)``; gets no gradient.
        temperature (float): T, above 0. Defaults to 1.

    Returns:
        Tensor: The scalar loss, in nats.

    Raises:
        ValueError: If the shapes differ or the temperature is not positive.
    """
    _check_logits(student_logits, teacher_logits)
    if not temperature > 0:
        raise ValueError('The temperature of the distillation must be above '
                         f'0, got {temperature}.')
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    return temperature**2 * F.kl_div(
        student, teacher, reduction='batchmean', log_target=True)


def _check_logits(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError('Student and teacher must give logits of one shape '
                         f'(N, num_classes), got {tuple(student.shape)} and '
                         f'{tuple(teacher.shape)}. Use a teacher with the '
                         'student\'s number of classes.')


#: What an attention map is divided by: name -> function((N, HW)) -> (N, 1).
ATTENTION_NORMS = dict(
    max=lambda q: q.amax(1, keepdim=True),
    l2=lambda q: q.norm(dim=1, keepdim=True))


def attention_transfer_loss(student_feats: Sequence[Tensor],
                            teacher_feats: Sequence[Tensor],
                            norm: str = 'max') -> Tensor:
    """Compare where student and teacher look, not what they see there.

    The attention map of a feature map ``F`` is ``Q = mean_c F[c]^2``, and the
    loss is the mean over points, images and positions of

        ``(Qs / |Qs| - Qt / |Qt|)^2``

    with ``|Q|`` the largest value of the map ('max', as in larq zoo's
    Real-to-Binary) or its Euclidean norm ('l2', as in the code of Zagoruyko &
    Komodakis, ICLR 2017, which sums over the points). The loss does not
    change with the scale of a feature map, and a map that is 0 stays 0.

    Args:
        student_feats (Sequence[Tensor]): A feature map ``(N, C, H, W)`` for
            each point of comparison.
        teacher_feats (Sequence[Tensor]): The teacher's at the same points;
            ``C`` may differ. They get no gradient.
        norm (str): A key of :data:`ATTENTION_NORMS`. Defaults to 'max'.

    Returns:
        Tensor: The scalar loss.

    Raises:
        ValueError: For an unknown norm, no or another number of feature maps,
            or maps of different sizes.
    """
    check_attention_norm(norm)
    if not student_feats or len(student_feats) != len(teacher_feats):
        raise ValueError(
            'Attention transfer needs one feature map or more, and as many of '
            f'the student as of the teacher, got {len(student_feats)} and '
            f'{len(teacher_feats)}.')
    losses = 0.
    for i, (student, teacher) in enumerate(zip(student_feats, teacher_feats)):
        _check_maps(i, student, teacher)
        difference = _attention(student, norm) - _attention(
            teacher.detach(), norm)
        losses = losses + difference.pow(2).mean()
    return losses / len(student_feats)


def check_attention_norm(norm: str) -> None:
    """Raise a ValueError that lists the known ones if a norm is unknown."""
    if norm not in ATTENTION_NORMS:
        raise ValueError(f'Unknown norm of attention maps {norm!r}. Known '
                         f'norms: {", ".join(ATTENTION_NORMS)}.')


def _attention(feat: Tensor, norm: str) -> Tensor:
    """``(N, C, H, W)`` -> normalised attention ``(N, HW)``."""
    # pow: on GPUs autocast computes it, unlike square, in float32.
    attention = feat.pow(2).mean(1).flatten(1)
    return attention / ATTENTION_NORMS[norm](attention).clamp(min=1e-12)


def _check_maps(i: int, student: Tensor, teacher: Tensor) -> None:
    shapes = tuple(student.shape), tuple(teacher.shape)
    if student.ndim != 4 or teacher.ndim != 4:
        raise ValueError('Attention transfer compares feature maps '
                         f'(N, C, H, W), but pair {i} has the shapes '
                         f'{shapes[0]} and {shapes[1]}.')
    if student.shape[:1] + student.shape[2:] != (teacher.shape[:1] +
                                                 teacher.shape[2:]):
        raise ValueError(
            f'Feature maps of pair {i} must have one size, but the student\'s '
            f'is {shapes[0]} and the teacher\'s {shapes[1]} (N, C, H, W). '
            'Compare layers at the same total stride.')
