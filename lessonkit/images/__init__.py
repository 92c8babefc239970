"""From a folder of picture files to tensors to train on."""
