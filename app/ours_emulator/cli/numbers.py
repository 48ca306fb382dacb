"""The numbers that options take. Click calls its own `float range` and `integer range`, also in errors."""

import click


class AnyNumber(click.types.FloatParamType):
    """A number whose range the emulator checks. The help of a range without bounds would have `x<=None`."""

    name = "number"


class Number(click.FloatRange):
    """A number: of seconds, of milliseconds, or a part of 1."""

    name = "number"


class Integer(click.IntRange):
    """A count, a status, an id."""

    name = "integer"
