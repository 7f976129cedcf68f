"""The tests' own footing: what resolves an output fails when there is nothing to resolve."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402

from tidegate_stacks.component import Component  # noqa: E402


class Echo(Component):
    """Gives back what it was given."""

    said: pulumi.Output[Any]

    def __init__(self, name: str, said: Any) -> None:
        super().__init__("tidegate:test:Echo", name, None)
        self.finish(said=said)


def test_a_known_output_resolves_to_its_value() -> None:
    assert ground.outputs_of(lambda: Echo("one", pulumi.Output.from_input("hello"))) == {"said": "hello"}


def test_an_unknown_output_fails_instead_of_passing_unseen() -> None:
    with pytest.raises(AssertionError, match="unknown"):
        ground.outputs_of(lambda: Echo("one", ground.unknown()), preview=True)


def test_an_unknown_value_inside_a_known_output_fails_too() -> None:
    with pytest.raises(AssertionError, match="unknown"):
        ground.outputs_of(lambda: Echo("one", {"host": ground.unknown()}), preview=True)


def test_a_wrong_expectation_of_a_resolved_output_fails() -> None:
    with pytest.raises(AssertionError):
        assert ground.outputs_of(lambda: Echo("one", "hello")) == {"said": "bye"}


def test_a_component_that_forgets_an_output_is_refused() -> None:
    class Silent(Component):
        """Declares an output and does not give it."""

        said: pulumi.Output[str]

    with pytest.raises(TypeError, match="declares"):
        ground.lay(lambda: Silent("tidegate:test:Silent", "one", None).finish())


def test_a_child_that_does_not_bear_its_components_name_is_refused() -> None:
    stray = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stray"}}
    with pytest.raises(ValueError, match="must start with"):
        ground.lay(lambda: Echo("one", "hello").put(stray))
