"""The lesson's claims, measured: the ledger, its verdicts and its forest plot."""
