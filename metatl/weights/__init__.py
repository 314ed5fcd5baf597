"""Files of weights, and which of their tensors belong to which of a net's."""
