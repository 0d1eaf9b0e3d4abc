"""The selective scan (S6) over (batch, dim, length); the op itself is in `op.py`."""
