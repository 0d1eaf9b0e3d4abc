"""The block of most Vision Mambas: a mixer and a perceptron, each normed, each with a residual."""

from torch import Tensor, nn

from .drop import DropPath


class MixerBlock(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)), or x + norm(mlp(x)).

    Args:
        dim: width of the tokens.
        mixer: (B, H, W, dim) to the same shape.
        mlp: the same; None leaves the second half out, and its norm.
        drop_path: rate of both residual branches.
        post_norm: whether the second norm comes after the MLP, inside its branch.
    """

    NO_DECAY = ('norm1', 'norm2')

    def __init__(
        self,
        dim: int,
        mixer: nn.Module,
        mlp: nn.Module | None = None,
        *,
        drop_path: float = 0.0,
        post_norm: bool = False,
    ):
        super().__init__()
        self.post_norm = post_norm
        self.norm1 = nn.LayerNorm(dim)
        self.mixer = mixer
        self.drop_path = DropPath(drop_path)
        self.norm2 = None if mlp is None else nn.LayerNorm(dim)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        x = x + self.drop_path(self.mixer(self.norm1(x)))
        if self.mlp is None:
            return x
        y = self.norm2(self.mlp(x)) if self.post_norm else self.mlp(self.norm2(x))
        return x + self.drop_path(y)
