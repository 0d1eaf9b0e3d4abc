"""The matrix LSTM: one step after another, as one product, or in chunks."""
