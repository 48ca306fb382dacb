"""The handle tests hold, and an emulator for the length of a block; everything asked goes through the debug API."""

from ours_emulator.emulator._async import AsyncClock, AsyncEmulator, AsyncExpectation, AsyncFault
from ours_emulator.emulator._sync import Clock, Emulator, Expectation, Fault
from ours_emulator.emulator.local import run_emulator, run_emulator_async
from ours_emulator.emulator.operations import EmulatorError, ExpectationError
from ours_emulator.records import (
    Cleared,
    Event,
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
    Resolution,
    Step,
    Summary,
    Visitor,
)

__all__ = [
    "AsyncClock",
    "AsyncEmulator",
    "AsyncExpectation",
    "AsyncFault",
    "Cleared",
    "Clock",
    "Emulator",
    "EmulatorError",
    "Event",
    "Expectation",
    "ExpectationError",
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
    "Resolution",
    "Step",
    "Summary",
    "Visitor",
    "run_emulator",
    "run_emulator_async",
]
