"""What the stand-alone program has beside the network: options, data, files. Knows no Python."""
