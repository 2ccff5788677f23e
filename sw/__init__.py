"""What people run: E-I layers, networks, training, data, the command line."""
