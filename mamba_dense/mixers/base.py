"""The protocol of a token mixer."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Mixer(Protocol):
    """Anything that mixes the tokens of a map.

    A mixer has no norm before it, no residual and no drop path inside: the block adds those. Its
    class may list in `NO_DECAY` the names of members that are exempt from weight decay.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, *spatial, C); same shape."""
