"""The handle of a running emulator, sync and async, and how to run one for the length of a block.

Every test process that uses an emulator imports this, so it imports only the standard library and the records.
"""

from ours_emulator.emulator._async import AsyncClock, AsyncEmulator, AsyncExpectation, AsyncExport, AsyncFault
from ours_emulator.emulator._sync import Clock, Emulator, Expectation, Export, Fault
from ours_emulator.emulator.errors import EmulatorError, ExpectationError
from ours_emulator.emulator.local import run_emulator, run_emulator_async
from ours_emulator.records import (
    Cleared,
    Event,
    EventDetail,
    Hint,
    Identifiers,
    Imported,
    Listing,
    Miss,
    Moment,
    NearMiss,
    Reason,
    RequestDetail,
    RequestRecord,
    Reset,
    Resolution,
    RuleCount,
    SentAnswer,
    Step,
    Summary,
    Visitor,
    VisitorChange,
    stable,
)

__all__ = [
    "AsyncClock",
    "AsyncEmulator",
    "AsyncExpectation",
    "AsyncExport",
    "AsyncFault",
    "Cleared",
    "Clock",
    "Emulator",
    "EmulatorError",
    "Event",
    "EventDetail",
    "Expectation",
    "ExpectationError",
    "Export",
    "Fault",
    "Hint",
    "Identifiers",
    "Imported",
    "Listing",
    "Miss",
    "Moment",
    "NearMiss",
    "Reason",
    "RequestDetail",
    "RequestRecord",
    "Reset",
    "Resolution",
    "RuleCount",
    "SentAnswer",
    "Step",
    "Summary",
    "Visitor",
    "VisitorChange",
    "run_emulator",
    "run_emulator_async",
    "stable",
]
