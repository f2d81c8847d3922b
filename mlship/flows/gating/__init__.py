"""What `mlship test` asks of a model before it is deployed, a file for each kind of gate."""
