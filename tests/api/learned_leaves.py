"""A Learned with every field, and another value for each field of its growth."""

from __future__ import annotations

from typing import Any

LEARNED: dict[str, Any] = {
    "format": 1,
    "of": {"kind": "CapacityPool", "name": "hangzhou"},
    "epoch": 3,
    "starts": [{"target": "api", "units": [4], "milliseconds": [31_500]}],
    "drains": [{"lane": "data", "milliseconds": [12_000]}],
    "sizes": [{"target": "api", "cpu": 100, "memory": 64}],
    "ended": [
        {
            "group": "apps",
            "kind": "Deployment",
            "namespace": "shop",
            "name": "api",
            "uid": "u",
            "field": "/spec/replicas",
            "subresource": "scale",
            "time": "2026-11-10T11:00:00.000Z",
            "levels": [20],
        }
    ],
    "lastValid": [{"kind": "Override", "name": "hold", "uid": "u", "document": "{}"}],
    "granted": [
        {
            "owner": "shop/core/api",
            "start": "2026-11-10T11:00:00.000Z",
            "end": "2026-11-10T12:00:00.000Z",
            "cpu": 1000,
            "memory": 1024,
        }
    ],
    "growth": [
        {
            "signal": "orders",
            "growth": "c-rk",
            "announcedEvents": 5000,
            "camePermille": 900,
            "cameSpreadPermille": 100,
            "since": "2026-11-10T11:00:00.000Z",
            "pastSeconds": 86_400,
            "high": "5.25e+00",
            "highTime": "2026-11-10T11:00:00.000Z",
            "hosts": [
                {
                    "kind": "host",
                    "name": "lena",
                    "announcedEvents": 3000,
                    "camePermille": 500,
                    "cameSpreadPermille": 50,
                }
            ],
        }
    ],
    "blind": [{"signal": "orders", "since": "2026-11-10T11:00:00.000Z"}],
    "timetable": "eJw=",
    "writesPerSecond": 8,
}

GROWN_OTHERWISE: dict[str, Any] = {
    "signal": "viewers",
    "growth": "c-rl",
    "announcedEvents": 5001,
    "camePermille": 901,
    "cameSpreadPermille": 101,
    "since": "2026-11-10T11:00:01.000Z",
    "pastSeconds": 86_401,
    "high": "5.5e+00",
    "highTime": "2026-11-10T11:00:01.000Z",
    "hosts[0].kind": "tier",
    "hosts[0].name": "otto",
    "hosts[0].announcedEvents": 3001,
    "hosts[0].camePermille": 501,
    "hosts[0].cameSpreadPermille": 51,
}
