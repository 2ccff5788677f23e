"""What ``chandelier info`` shows of an integer network."""

from rich.table import Table

from hw.folding import fold, predict_cycles
from quant.network import IntegerNetwork
from quant.widths import network_widths
from sw.console import key_value_table

__all__ = ["network_tables"]
