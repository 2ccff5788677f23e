"""The arithmetic that everyone agrees on: formats, quantisers, the integer network, the golden model, export."""
