"""What differs between two domains: tests of P(X), P(Y), P(X given Y) and P(Y given X), and their names."""
