"""timm's networks with ImageNet weights, taken apart into layers."""
