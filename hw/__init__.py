"""Amaranth components, networks of them, and the Verilog that comes out. Never imports torch."""
