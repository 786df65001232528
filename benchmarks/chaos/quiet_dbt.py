"""dbt without the messages that nobody sees: a third of a build's time goes into debug messages for no log."""

from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import get_event_manager

_original_new_event = BaseEvent.__init__
_original_fire_event = EventManager.fire_event


def make_dbt_quiet() -> None:
    """Replace functions of dbt in this process: events of the level debug are dropped where no log shows them."""
    BaseEvent.__init__ = _new_event
    EventManager.fire_event = _fire_event


def _is_unheard(event: BaseEvent) -> bool:
    loggers = get_event_manager().loggers
    return isinstance(event, DebugLevel) and all(
        logger.level not in (EventLevel.DEBUG, EventLevel.TEST) for logger in loggers
    )


def _new_event(event: BaseEvent, *arguments: object, **fields: object) -> None:
    if not _is_unheard(event):
        _original_new_event(event, *arguments, **fields)


def _fire_event(manager: EventManager, event: BaseEvent, *arguments: object, **named: object) -> None:
    if not _is_unheard(event):
        _original_fire_event(manager, event, *arguments, **named)
