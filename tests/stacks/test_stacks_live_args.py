"""What a live origin is told: nothing that SRS would read as an option of its own."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from srs_double import parse  # noqa: E402

from tidegate_stacks import checks, live  # noqa: E402


def loaded(**rest: Any) -> live.LiveOriginArgs:
    given = {"namespace": "shop", "publish": "open", "normal_mbps": 1, "peak_mbps": 9, **rest}
    return checks.load(live.LiveOriginArgs, given, "live")


@pytest.mark.parametrize(
    "more", ["?a=1;b=2", "; } vhost x {", "\n listen 1", " http://other/", "?a={b}", "#c", "'", '"', "\\", "\u00a0"]
)
def test_a_hook_is_one_url(more: str) -> None:
    with pytest.raises(checks.ArgsError, match=r"^live\.publish\.hook: give a URL, e\.g\. http://"):
        loaded(publish={"hook": f"http://rooms.shop.svc/publish{more}"})


@pytest.mark.parametrize("hook", ["rooms.shop.svc/publish", "rtmp://rooms/", "http://", "http:// rooms/"])
def test_a_hook_has_a_scheme_and_a_host(hook: str) -> None:
    with pytest.raises(checks.ArgsError, match=r"^live\.publish\.hook: give a URL"):
        loaded(publish={"hook": hook})


@pytest.mark.parametrize(
    "host", ["spare", "spare:", "spare:0", "spare:65536", "spare:1935; }", "a:1935 b:1935", "fd00::1:1935"]
)
def test_a_copy_goes_to_one_host_and_port(host: str) -> None:
    with pytest.raises(checks.ArgsError, match=r"^live\.forward\[1\]: give host:port, e\.g\. "):
        loaded(forward=["other.shop.svc:1935", host])


@pytest.mark.parametrize(
    "hook", ["http://rooms.shop.svc/publish?a=1&b=%3B", "https://[fd00::1]:8443/hook", "http://10.0.0.7:8085"]
)
def test_what_a_url_holds_by_right_reaches_srs_as_it_is(hook: str) -> None:
    conf = live.configs("live", loaded(publish={"hook": hook}, forward=["spare:1", "[fd00::1]:65535"]))["origin.conf"]
    options = parse(conf)
    assert options["vhost.http_hooks.on_publish"] == [hook]
    assert options["vhost.forward.destination"] == ["spare:1 [fd00::1]:65535"]
