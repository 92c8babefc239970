"""All experiments, by number."""

import importlib
from pathlib import Path

from experiments import pool
from experiments.claim import Claim

__all__ = ["CLAIMS"]

_FILES = sorted(path.stem for path in Path(__file__).parent.glob("claim_[0-9]*.py"))
_MODULES = [pool, *(importlib.import_module(f"experiments.{name}") for name in _FILES)]
CLAIMS: dict[str, Claim] = {module.CLAIM.number: module.CLAIM for module in _MODULES}
