"""The distributional loss against its closed form."""
import math

import pytest
import torch
import torch.nn.functional as F

from mmreact.functional import distributional_loss

# student, teacher -> loss by hand
LOG3 = math.log(3)
TABLE = [
    # Uniform student: log C whatever the teacher says.
    ([[0., 0., 0.]], [[5., -1., 2.]], LOG3),
    # Teacher 3/4, 1/4; student 1/2, 1/2 and 1/4, 3/4.
    ([[0., 0.]], [[LOG3, 0.]], math.log(2)),
    ([[0., LOG3]], [[LOG3, 0.]], 0.75 * math.log(4) + 0.25 * math.log(4 / 3)),
    # A teacher that is certain: the student's log-probability of its class.
    ([[0., LOG3]], [[1000., 0.]], math.log(4)),
    # Logits that overflow a softmax without the usual shift.
    ([[1000., 0.]], [[1000., 0.]], 0.),
    # The mean over the batch, not over its values.
    ([[0., 0.], [0., LOG3]], [[1000., 0.],
                              [1000., 0.]], (math.log(2) + math.log(4)) / 2),
]


@pytest.mark.parametrize('student,teacher,expected', TABLE)
def test_by_hand(student, teacher, expected):
    loss = distributional_loss(
        torch.tensor(student).double(),
        torch.tensor(teacher).double())
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=1e-7)


@pytest.fixture(params=[(1, 2), (5, 10), (3, 1000)])
def logits(request):
    generator = torch.Generator().manual_seed(0)
    shape = (2, *request.param)
    return (3 * torch.randn(shape, generator=generator).double()).unbind()


def test_is_kl_plus_the_teachers_entropy(logits):
    student, teacher = logits
    p = teacher.softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    kl = F.kl_div(student.log_softmax(1), p, reduction='batchmean')
    torch.testing.assert_close(
        distributional_loss(student, teacher), kl + entropy)
    # It cannot go below the entropy, and reaches it at the teacher.
    torch.testing.assert_close(distributional_loss(teacher, teacher), entropy)


def test_gradient(logits):
    student, teacher = [x.clone().requires_grad_() for x in logits]
    distributional_loss(student, teacher).backward()
    assert teacher.grad is None
    plain, target = logits[0].clone().requires_grad_(), logits[1]
    exp = plain.exp()
    log_p = (exp / exp.sum(1, keepdim=True)).log()
    (-(target.exp() / target.exp().sum(1, keepdim=True) * log_p).sum(1)
     ).mean().backward()
    torch.testing.assert_close(student.grad, plain.grad)
    closed = (logits[0].softmax(1) - target.softmax(1)) / len(target)
    torch.testing.assert_close(student.grad, closed)


@pytest.mark.parametrize('student,teacher',
                         [((2, 3), (2, 4)), ((2, 3), (1, 3)), ((2, 3), (3, ))])
def test_shapes_must_agree(student, teacher):
    with pytest.raises(ValueError) as error:
        distributional_loss(torch.zeros(student), torch.zeros(teacher))
    assert str(student) in str(error.value)
    assert str(teacher) in str(error.value)
