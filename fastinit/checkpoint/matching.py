"""Finds the rule of a tensor, and its choice in the model."""

from __future__ import annotations

import functools
import glob
import re
import time
from collections.abc import Sequence
from dataclasses import replace

from fastinit.init import compute_fans

from . import buffers, expressions
from .choices import Choice
from .errors import BadInput
from .joined import joined
from .patterns import Index, literal, matcher
from .rules import Rule, initializer
from .spec import TensorSpec
from .steps import Step, Stepped, TensorPlan, part

#: Seconds for patterns: so many, and so many more for each name, a hundred times what it takes.
_ALL, _EACH = 3.0, 1e-3


class Model:
    """All tensors of a model and their rules. A tensor's rule may depend on other tensors.

    Parameters
    ----------
    specs : sequence of TensorSpec
        The tensors.
    rules : list of Rule
        The rules. The first that matches a tensor makes it.
    rules_from : str
        The source of the rules, for error messages.
    """

    def __init__(self, specs: Sequence[TensorSpec], rules: list[Rule], rules_from: str) -> None:
        self.tensors = {spec.name: spec for spec in specs}
        self.rules = rules
        self.rules_from = rules_from
        # Metadata has one rule for each bias whose init uses fan_in. They are looked up by name.
        self._named: dict[str, list[int]] = {}
        patterns = {}
        for number, rule in enumerate(rules):
            name = literal(rule.match)
            if name is None:
                patterns[number] = rule.match
            else:
                self._named.setdefault(name, []).append(number)
        self._matchers = {number: matcher(pattern) for number, pattern in patterns.items()}
        self._candidates = Index(patterns)
        self._seconds = _ALL
        self._exact: dict[tuple[int, str, str], Rule] = {}
        # Most tensors of a model differ only in their names, and a rule costs as much to make as a plan.
        self._alike: dict[Rule, Rule] = {}
        self._plans: dict[tuple[Rule, str, tuple[int, ...]], TensorPlan] = {}

    def match(self, spec: TensorSpec) -> int:
        """Return the number of the first rule that matches a tensor. BadInput if there is none."""
        number = self.find(spec)
        if number is None:
            tensor = f"{spec.name!r}, {spec.dtype} {list(spec.shape)}"
            raise BadInput(f"{self.rules_from}: no rule matches tensor {tensor}")
        return number

    def find(self, spec: TensorSpec) -> int | None:
        """Return the number of the first rule that matches a tensor, or None.

        BadInput if patterns take longer than anyone would wait for: they may be a stranger's.
        """
        began = time.thread_time()
        number = self._first(spec)
        self._seconds += _EACH - (time.thread_time() - began)
        if self._seconds < 0:
            raise BadInput(f"{self.rules_from}: its patterns take too long for so many names; give the names")
        self._seconds = min(self._seconds, _ALL)
        return number

    def _first(self, spec: TensorSpec) -> int | None:
        for number in sorted([*self._named.get(spec.name, []), *self._candidates(spec.name)]):
            rule = self.rules[number]
            if not rule.min_ndim <= len(spec.shape) <= rule.max_ndim:
                continue
            if number in self._matchers and not self._matchers[number](spec.name):
                continue
            if "fan_in" not in rule.variables or self.fan_in(spec) is not None:
                return number
        return None

    def choose(self, spec: TensorSpec, number: int) -> Choice:
        """Return a tensor's choice under a rule that matches it."""
        rule = self.rules[number]
        names = rule.variables
        try:
            text = expressions.substitute(rule.init, {name: self.value(name, spec) for name in names})
            # One spelling, so that all tensors of a rule share one exact rule.
            text = text if buffers.is_buffer(text) else initializer(text).spec
            # An init that depends on another tensor is recorded under this tensor's name alone.
            match = glob.escape(spec.name) if "fan_in" in names else rule.match
            key = number, match, text
            if key not in self._exact:
                self._exact[key] = replace(rule, match=match, init=text)
            own = exact = self._exact[key]
            if "\\" in f"{rule.same_as}{rule.view}{rule.parts}":
                found = self._matchers[number](spec.name)
                same_as, view = (text and found.expand(text) for text in (rule.same_as, rule.view))
                parts = tuple(map(found.expand, rule.parts))
                own = replace(exact, same_as=same_as, view=view, parts=parts)
            plan = self._plan(own, spec)
        except (ValueError, TypeError, re.error) as error:
            where = f"{self.rules_from}: tensor {spec.name!r}, matched by {rule.match!r}"
            raise BadInput(f"{where}: {error}") from None
        return Choice(spec, rule.match, exact, own, plan)

    def _plan(self, rule: Rule, spec: TensorSpec) -> TensorPlan:
        """Return the plan of a tensor under a rule without arithmetic."""
        if rule not in self._alike:
            self._alike[rule] = replace(rule, match="*", same_as=rule.same_as and "*")
        key = self._alike[rule], spec.dtype, spec.shape
        if key not in self._plans:
            self._plans[key] = plan_of(rule, spec)
        return self._plans[key]

    def value(self, name: str, spec: TensorSpec) -> int:
        """Return the value of a name in the arithmetic of a tensor's rule."""
        if name == "layers" and self.layers is not None:
            return self.layers
        if name == "fan_in" and (fan_in := self.fan_in(spec)) is not None:
            return fan_in
        raise ValueError(f"its init uses {name}, which nothing in the manifest tells")

    @functools.cached_property
    def layers(self) -> int | None:
        """The number of blocks: the highest number in the names plus one, or None if no name has a number.

        If a number follows ``h``, ``layer``, ``layers``, ``block`` or ``blocks`` in some name, only such
        numbers count, since experts and heads have numbers too. Otherwise each name's first number counts.
        """
        for pattern in (r"(?:^|\.)(?:h|layers?|blocks?)\.(\d+)\.", r"(?:^|\.)(\d+)\."):
            numbers = [int(found[1]) for name in self.tensors if (found := re.search(pattern, name))]
            if numbers:
                return max(numbers) + 1
        return None

    def fan_in(self, spec: TensorSpec) -> int | None:
        """Return the fan_in of the weight of a bias, or None if there is no weight with fans."""
        weight = self.tensors.get(re.sub(r"bias$", "weight", spec.name))
        if weight is None or weight is spec or len(weight.shape) < 2:
            return None
        number = self.find(weight)
        layout = (number is not None and self.rules[number].layout) or "oi"
        return compute_fans(weight.shape, layout=layout)[0]


def plan_of(rule: Rule, spec: TensorSpec) -> TensorPlan:
    """Return the plan of a tensor under a rule without arithmetic. ValueError if it can't make the tensor."""
    full = functools.partial(_full_plan, rule, spec)
    if rule.parts:
        return joined(rule.parts, rule.axis, spec.shape, full)
    return full(spec.shape) if rule.view is None else part(rule.view, spec.shape, full)


def _full_plan(rule: Rule, spec: TensorSpec, shape: tuple[int, ...]) -> TensorPlan:
    """Return the plan of a rule for a shape, before any view of it."""
    spec = replace(spec, shape=shape)
    plan: TensorPlan | None = buffers.plan(rule.init, spec, rule.data)
    if plan is None:
        layout = rule.layout or "oi"
        plan = initializer(rule.init).plan(shape, layout=layout, dtype=spec.floating or spec.storage)
    steps = [Step.parse(text, shape) for text in rule.then if spec.size]
    if rule.padding_idx is not None and spec.size:
        if spec.floating is None and not spec.stored.counts:
            raise ValueError(f"{spec.dtype} takes no padding_idx")
        if not (shape and rule.padding_idx < shape[0]):
            raise ValueError(f"padding_idx {rule.padding_idx} is no row of shape {shape}")
        steps.append(Step.parse(f"[{rule.padding_idx}] = zeros", shape))
    return Stepped(plan, steps) if steps else plan
