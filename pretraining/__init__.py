"""What makes the discriminator that comes with the package: products, their residuals, its training."""
