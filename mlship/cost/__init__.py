"""What a deployment costs before anything is deployed: prices, traffic, capacity, estimate. Pure, but for `refresh`."""
