"""How work that is to be lent is told so, before it is stopped."""

from __future__ import annotations

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.shift.model import Notice
from tidegate.ports import EventSink, HandOverNote


def tell(events: EventSink, ref: Ref, note: HandOverNote, notice: Notice, message: str) -> None:
    """An Event of its own for each level that work is told of. Whoever runs it is to read it before the stop: so it
    is tried again until it is on record, or until the work is planned to run again and nobody needs it any more.
    """
    events.emit(ref, reason=Reason.NOTICE_GIVEN.value, message=message, about=str(notice.level), until=note.until)
