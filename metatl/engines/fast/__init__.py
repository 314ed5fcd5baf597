"""What makes the batched engine fast: rerouted operations, compiled kernels, recordings."""
