"""Guards taken out of the code, one at a time: for each there is a test that fails then.

`mutant` says what a mutant is, `trial` runs the tests on a copy of the tree, `races` tells which race each belongs to;
the lists are in the other files. `python -m tests.mutants --help`, or `make mutants` for all.
"""

from tests.mutants import (
    aftermath,
    answers,
    asking,
    dispatch,
    ending,
    ledger,
    orders,
    planning,
    sending,
    shares,
    tenants,
    whole,
    windows,
    work,
)
from tests.mutants.mutant import Mutant

MUTANTS: list[Mutant] = [
    *ledger.MUTANTS,
    *ending.MUTANTS,
    *asking.MUTANTS,
    *windows.MUTANTS,
    *dispatch.MUTANTS,
    *work.MUTANTS,
    *aftermath.MUTANTS,
    *sending.MUTANTS,
    *answers.MUTANTS,
    *planning.MUTANTS,
    *whole.MUTANTS,
    *shares.MUTANTS,
    *tenants.MUTANTS,
    *orders.MUTANTS,
]
