"""The fixed problem on one's own photos: which way of transferring is best, how sure, and the model."""
