"""Training with DP-SGD: the only place of this package that imports torch and Opacus."""
