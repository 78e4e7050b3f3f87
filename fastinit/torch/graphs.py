"""Paths in the graph that autograd keeps: what each value came from."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

__all__ = ["before", "cuts"]

Node = Any


def before(node: Node, stops: Container[Node]) -> list[Node]:
    """Return the nodes of `stops` from which a path leads to a node, without others of them on it."""
    found, seen, left = [], {node}, [node]
    while left:
        node = left.pop()
        if node in stops:
            found.append(node)
            continue
        for other in _inputs(node):
            if other not in seen:
                seen.add(other)
                left.append(other)
    return found


def cuts(source: Node, sinks: Sequence[Node]) -> tuple[list[Node], set[Node]]:
    """Return the nodes on all paths from a source to sinks, and which of them every path passes.

    Parameters
    ----------
    source : Node
    sinks : sequence of Node

    Returns
    -------
    nodes : list of Node
        In an order in which each comes after those that it is made from; empty if there is no path.
    passed : set of Node
        The nodes without which no sink would depend on the source.

    Notes
    -----
    In such an order, every path passes a node if and only if no edge leads from before it to behind it.
    """
    below = {source}
    order = []
    for node in _sorted(sinks, source):
        if node is source or any(other in below for other in _inputs(node)):
            below.add(node)
            order.append(node)
    place = {node: i for i, node in enumerate(order)}
    farthest = dict.fromkeys(range(len(order)), 0)
    for node in order:
        for other in _inputs(node) if node is not source else ():
            if other in place:
                farthest[place[other]] = place[node]  # nodes come in their order
    for sink in sinks:
        if sink in place:
            farthest[place[sink]] = len(order)
    passed, reached = set(), 0
    for i, node in enumerate(order):
        if reached <= i:
            passed.add(node)
        reached = max(reached, farthest[i])
    return (order if source in place else []), passed


def _sorted(sinks: Iterable[Node], source: Node) -> list[Node]:
    """Return the nodes that sinks are made from, each after its own inputs."""
    order, seen = [], set()
    for sink in sinks:
        stack: list[tuple[Node, bool]] = [(sink, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                if node is not source:
                    stack += [(other, False) for other in _inputs(node) if other not in seen]
    return order


def _inputs(node: Node) -> list[Node]:
    return [other for other, _ in node.next_functions if other is not None]
