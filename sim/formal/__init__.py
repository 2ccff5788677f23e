"""Formal proofs of components, each with a planted bug that it has to refute, and equivalence after synthesis."""
