"""Findings that somebody allowed."""

from __future__ import annotations

from dataclasses import replace

from cases import DATA, MOVED, NEEDED, OWNED, REASONS, case
from declared import UNKNOWN, database, deployment, policy, thing

WRITTEN = f"{DATA}: made again every night"
SUPPRESSED = [
    case("a suppression with a reason", database("spec.instances", protect=False).noted(WRITTEN)),
    case(
        "a suppression of another rule",
        database("spec.instances", protect=False).noted(f"{OWNED}: why not"),
        found=((DATA, "orders"), (NEEDED, "orders")),
    ),
    case(
        "a suppression without a reason",
        database("spec.instances", protect=False).noted(DATA),
        found=((DATA, "orders"), (REASONS, "orders")),
    ),
    case(
        "a suppression with an empty reason",
        database("spec.instances", protect=False).noted(f"{DATA}: "),
        found=((DATA, "orders"), (REASONS, "orders")),
    ),
    case(
        "a suppression of no rule",
        database("spec.instances").noted("databases: of test data"),
        found=((REASONS, "orders"),),
    ),
    case(
        "a suppression that suppresses nothing", database("spec.instances").noted(WRITTEN), found=((NEEDED, "orders"),)
    ),
    case("two suppressions", database(protect=False).noted(f"{WRITTEN}; {OWNED}: nobody moves it")),
    case("one of two suppressions", database(protect=False).noted(f"{WRITTEN};"), found=((OWNED, "orders"),)),
    case("a suppression of a stack's rule", policy("orders"), deployment(replicas=3).noted(f"{MOVED}: a test of it")),
    case(
        "a suppression on one is none on another",
        database("spec.instances", protect=False).noted(WRITTEN),
        replace(database("spec.instances", protect=False), name="carts"),
        found=((DATA, "carts"),),
    ),
    case(
        "a suppression on an item of a List",
        thing(
            "core/v1:List",
            "l",
            items=[
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"annotations": {"tidegate.dev/allow": WRITTEN}},
                },
                {"apiVersion": "v1", "kind": "PersistentVolumeClaim"},
            ],
        ),
        found=((DATA, "l"),),
    ),
    case(
        "a suppression that is not known suppresses nothing",
        replace(database("spec.instances", protect=False).noted(UNKNOWN)),
        found=((DATA, "orders"),),
    ),
    case("a rule for peaks may wait for one", deployment().noted("no-change-in-a-peak: its canary")),
]
