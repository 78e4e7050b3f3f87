"""Cut vertices of random graphs against the removal of each node."""

import random

from fastinit.torch import graphs


class Node:
    def __init__(self, *inputs):
        self.next_functions = [(each, 0) for each in inputs]


def ancestors(node, without=None):
    found, left = set(), [node]
    while left:
        node = left.pop()
        if node not in found and node is not without:
            found.add(node)
            left += [other for other, _ in node.next_functions]
    return found


def test_cuts_are_the_nodes_without_which_no_path_is_left():
    rng = random.Random(7)
    for _ in range(200):
        nodes = [Node()]
        for _ in range(rng.randrange(1, 15)):
            near = nodes[-3:] + [Node()] * (rng.random() < 0.2)
            nodes.append(Node(*rng.sample(near, rng.randint(1, min(2, len(near))))))
        source = rng.choice(nodes[:3])
        sinks = rng.sample(nodes[-3:], rng.randint(1, min(2, len(nodes[-3:]))))
        order, passed = graphs.cuts(source, sinks)
        reached = {sink for sink in sinks if source in ancestors(sink)}
        assert set(order) == {
            each
            for each in nodes
            if source in ancestors(each) and any(each in ancestors(sink) for sink in reached)
        }
        assert all(order.index(a) < order.index(b) for b in order for a in ancestors(b) & {*order} - {b})
        assert passed == {
            each
            for each in order
            if each is source or all(source not in ancestors(sink, each) for sink in reached)
        }


def test_the_nearest_nodes_before():
    a = Node()
    b, c = Node(a), Node(a)
    d = Node(Node(b), c)
    assert set(graphs.before(d, {a, b})) == {a, b}
    assert set(graphs.before(d, {a, b, c})) == {b, c}
    assert graphs.before(b, {b}) == [b]
