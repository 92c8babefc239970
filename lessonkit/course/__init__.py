"""The course around the training code: data sets, explorers, exercises, clinic, ledger."""
