"""What ``chandelier info`` shows of an integer network."""

__all__ = ["network_tables"]
