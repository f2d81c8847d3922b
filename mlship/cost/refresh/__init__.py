"""The vendors' public price interfaces -> prices: the only part of cost that touches the network."""
