"""The models, one module each; the registry names them."""
