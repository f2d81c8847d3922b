"""What `render --target monitoring` writes: pure but for the price that its flow asks for."""
