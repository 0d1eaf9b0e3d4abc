"""The selective scan along routes over the tokens of a map; the op itself is in `op.py`."""
