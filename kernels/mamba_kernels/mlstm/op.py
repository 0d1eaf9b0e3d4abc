"""The matrix LSTM (mLSTM): signature, checks and the choice of its form.

For each batch item and head of width d, with F_ts the sum of logsigmoid(f_r) over s < r <= t:

    logD_ts = F_ts + i_s  for s <= t, else -inf;       m_t = max_s logD_ts
    C_ts = (q_t . k_s / sqrt(d)) e^{logD_ts - m_t}
    h_t = sum_s C_ts v_s / (max(|sum_s C_ts|, e^{-m_t}) + eps)

(xLSTM, arXiv 2405.04517, appendix A.3, in the stabilised form by which Vision-LSTM, arXiv
2406.04303, was published: the forget gate of a step does not act on the step's own input.)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .. import dispatch
from ..checks import check_axes, check_shape, check_tensors
from .chunked import mlstm as chunked
from .parallel import mlstm as parallel
from .reference import compute_dtype
from .reference import mlstm as reference

FORMS = {'parallel': parallel, 'chunked': chunked, 'reference': reference}
ABOUT = {
    'parallel': 'one product over all pairs of steps, memory with the square of the length',
    'chunked': 'the parallel form in chunks, memory with the length',
    'reference': 'one step after another, the definition; never chosen by itself',
}
PARALLEL = 256  # steps up to which all pairs are taken at once


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    *,
    eps: float = 1e-6,
    form: str | None = None,
) -> Tensor:
    """The matrix LSTM over a sequence, from its first step to its last.

    The forms compute the same, gradients included; all are torch's own matrix products, so that
    the backends of the scans (`use_backend`) have no say here.

    Args:
        q, k, v: queries, keys and values (batch, heads, length, width), float16, bfloat16, float32
            or float64.
        i, f: input and forget gates before exp and sigmoid, (batch, heads, length).
        eps: added to the denominator.
        form: 'parallel', 'chunked' or 'reference'; by default parallel up to 256 steps, chunked
            beyond.

    Returns:
        h (batch, heads, length, width) in the dtype of q. States and sums are float32, float64
        for a float64 q; autocast does not reach inside.

    Raises:
        TypeError: a tensor is complex or of a dtype without arithmetic.
        ValueError: shapes or devices do not fit together, or the form is unknown.

    >>> import torch
    >>> x, gate = torch.ones(1, 1, 3, 4), torch.zeros(1, 1, 3)
    >>> mlstm(x, x, torch.arange(3.0).view(1, 1, 3, 1).expand_as(x), gate, gate)[0, 0, :, 0]
    tensor([0.0000, 0.6667, 1.4286])
    """
    check_tensors({'q': q, 'k': k, 'v': v, 'i': i, 'f': f})
    words = ('batch', 'heads', 'length', 'width')
    check_axes('q', q, words)
    check_shape('k', k, words, q.shape)
    check_shape('v', v, words, q.shape)
    check_shape('i', i, words[:3], q.shape[:3])
    check_shape('f', f, words[:3], q.shape[:3])
    dtype = compute_dtype(q)
    serve = implementation(form_of(q.shape[2]) if form is None else form)
    with dispatch.full_precision(q):
        return serve(*(x.to(dtype) for x in (q, k, v, i, f)), eps).to(q.dtype)


def form_of(length: int) -> str:
    """The form that serves a sequence when none is asked for."""
    return 'parallel' if length <= PARALLEL else 'chunked'


def implementation(form: str) -> Callable[..., Tensor]:
    """What computes a form."""
    if form not in FORMS:
        raise ValueError(f'form={form!r} is not a form of mlstm; known: {", ".join(FORMS)}')
    return FORMS[form]


def explain(*tensors: Tensor) -> str:
    """Which form would serve a call on `tensors`, in the op's order, as text."""
    lines = ['mlstm: not said which form, no tensors given']
    if tensors:
        lines[0] = f'mlstm: {form_of(tensors[0].shape[2])} serves (by the length)'
    return '\n'.join(lines + [f'  {name}: {summary}' for name, summary in ABOUT.items()])
