"""What kubectl's own commands send is read; what is not known is refused, never dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.embedded.errors import ApiError
from tidegate.embedded.protobuf import decode


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


META = field(1, field(1, "web") + field(2, "") + field(8, b"") + field(11, field(1, "app") + field(2, "web")))


def test_a_namespace() -> None:
    want = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {"app": "web"}}}
    assert decode(body("v1", "Namespace", META + field(2, b"") + field(3, b""))) == want


def test_a_deployment_keeps_a_zero_that_was_meant() -> None:
    container = field(1, "main") + field(2, "nginx:1") + field(6, field(3, 80) + field(2, 0)) + field(8, b"")
    template = field(1, b"") + field(2, field(2, container) + field(3, ""))
    spec = field(1, 0) + field(2, field(1, field(1, "app") + field(2, "web"))) + field(3, template) + field(4, b"")
    assert decode(body("apps/v1", "Deployment", META + field(2, spec)))["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"spec": {"containers": [{"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}]}},
    }


def test_bytes_come_out_as_base64() -> None:
    secret = META + field(2, field(1, "password") + field(2, b"\x00\xff")) + field(3, "Opaque")
    assert decode(body("v1", "Secret", secret))["data"] == {"password": "AP8="}


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers_keep_their_sign(value: int) -> None:
    if value:
        found = decode(body("apps/v1", "Deployment", META + field(2, field(5, value))))
        assert found["spec"]["minReadySeconds"] == value


@pytest.mark.parametrize(
    "sent",
    [
        body("v1", "ResourceQuota", META),
        body("v1", "Namespace", META + field(99, "new")),
        body("apps/v1", "Deployment", META + field(2, field(4, field(2, b"")))),
    ],
)
def test_a_kind_or_field_that_is_not_known_is_415(sent: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode(sent)
    assert caught.value.code == 415
    assert "kubectl apply -f -" in caught.value.message


@given(st.binary(max_size=60))
def test_noise_is_read_or_refused_and_nothing_else(noise: bytes) -> None:
    for sent in (noise, b"k8s\x00" + noise, body("v1", "Namespace", noise), body("v1", "Secret", META + noise)):
        assert outcome(sent) in ("read", 400, 415)


def outcome(sent: bytes) -> str | int:
    try:
        decode(sent)
    except ApiError as error:
        return error.code
    return "read"


def test_a_number_where_a_message_belongs_is_400() -> None:
    assert outcome(body("v1", "Namespace", field(1, 7))) == 400
