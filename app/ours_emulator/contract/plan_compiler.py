"""Compiles the schemas of a plan with the engine, each when the first message needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from ours_emulator.contract.plan_schemas import INSTALL, Cost, Place, PlanError, check_schemas, for_engine
from ours_emulator.contract.plan_wording import differences
from ours_emulator.model import Properties
from ours_emulator.wording import cut

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

    from ours_emulator.contract.tracking_plan import TrackingPlan


class Compiler:
    """Compiles the schemas of a plan. Raises ValueError if one is not valid, or if the engine is not installed."""

    def __init__(self, plan: TrackingPlan) -> None:
        parts: Mapping[str, Mapping[str, Any]] = {"$defs": plan.definitions, "events": plan.events}
        self._roots: dict[Place, Any] = {
            (part, name): schema for part, schemas in parts.items() for name, schema in schemas.items()
        }
        if plan.visitor is not None:
            self._roots["visitor",] = plan.visitor
        schemas = check_schemas(self._roots)
        self.costs: Mapping[Place, Cost] = schemas.costs
        self._targets, self._reached = schemas.targets, schemas.reached
        try:
            import jsonschema_rs
        except ImportError:
            raise ValueError(f"tracking plans need jsonschema-rs; run: {INSTALL}") from None
        self._engine = jsonschema_rs
        # Each by itself: with what it refers to, the same schemas would be compiled again and again.
        for place, schema in self._roots.items():
            self._check(place, for_engine(schema, None))

    def whole(self, *place: str) -> Properties:
        """Return the schema at *place*, with those that it refers to."""
        # As the only one of allOf: what it has by itself stays apart from what references are about.
        whole: dict[str, Any] = {"allOf": [for_engine(self._roots[place], self._targets)]}
        for part, *name in self._all_reached(place):
            schema = for_engine(self._roots[part, *name], self._targets)
            if name:
                whole.setdefault(cast(str, part), {})[name[0]] = schema
            else:
                whole[cast(str, part)] = schema
        return whole

    def compiled(self, schema: JsonValue) -> Validator:
        """Return *schema*, compiled."""
        # Masked: with every error there is a text, which would have the whole value.
        return self._engine.Draft202012Validator(
            cast(Any, schema),
            validate_formats=True,
            pattern_options=self._engine.RegexOptions(),
            retriever=_refuse_to_load,
            mask="",
        )

    def first_error(self, validator: Validator, sent: Any) -> Sequence[ValidationError]:
        """Return the first error of *sent*, if there is one."""
        try:
            validator.validate(sent)
        except self._engine.ValidationError as error:
            return [error]
        return ()

    def _all_reached(self, place: Place) -> frozenset[Place]:
        """Return the places of the schemas that the one at *place* refers to, and of those that these refer to."""
        found: set[Place] = set()
        waiting = [*self._reached[place]]
        while waiting:
            here = waiting.pop()
            if here not in found:
                found.add(here)
                waiting += self._reached[here]
        return frozenset(found)

    def _check(self, place: Place, schema: JsonValue) -> None:
        try:
            self.compiled(schema)
        except self._engine.ValidationError as error:
            raise _schema_problem(error, place, schema) from None
        except (ValueError, self._engine.ReferencingError) as error:
            raise PlanError(place, cut(str(error).partition("\n")[0])) from None


def _schema_problem(error: ValidationError, place: Place, schema: JsonValue) -> PlanError:
    path, message = next(differences(error, schema))
    return PlanError((*place, *path), message)


def _refuse_to_load(address: str) -> Any:
    raise ValueError(f"{cut(address)} leads out of the plan")
