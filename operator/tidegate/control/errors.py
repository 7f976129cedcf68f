"""What keeps the ledger from writing, beside what the API server answers."""

from __future__ import annotations

from tidegate.ports import RefusedError, UnavailableError


class NotLeadingError(UnavailableError):
    """We may not write now: the Lease was not renewed in time, or another has led since."""


class UnreadableLoanError(RefusedError):
    """The field's Loan is there and cannot be understood: its original would be lost."""
