"""The pictures of five lectures on transfer learning, each from a small computation by the package itself."""
