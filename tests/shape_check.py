"""The type checker that `conftest.py` puts on the package while tests run: shapes and types of every call."""

from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception

# Where a float is asked for, an int will do (PEP 484's numeric tower).
_checker: Any = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    try:
        return _checker(function)
    except BeartypeDecorHintPep3119Exception:  # a Protocol, which has no instance check unless it asks for one
        return function
