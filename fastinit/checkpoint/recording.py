"""`Recording`: what a model's own code does to each tensor, as rules that need no model and no torch."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import BadInput
from .rules import Rule, from_tables
from .spec import TensorSpec, checked

__all__ = ["Recording", "recording_of"]

_KEY = "fastinit_recording"
_NUMBER = re.compile(r"(?<![\w])\d+(?![\w])")  # between dots, brackets or commas


@dataclass(frozen=True)
class Recording:
    """What a model's own code does to each tensor.

    `fastinit.torch.record` makes it. `generate` and `tensors` take it in the place of a list, and
    `fastinit.torch.initialize` as `init`. Two are equal if they make the same tensors in the same way.

    Attributes
    ----------
    specs : tuple of TensorSpec
        The tensors of a checkpoint, in order.
    rules : tuple of Rule
        Rules for these, and for buffers that a checkpoint does not hold.
    notes : tuple of str
        What is outside the contract: tensors whose bits may differ between machines, with the reason.
    stem : str
        The start of the names of a checkpoint's files in a folder.
    files : dict of str
        The text of files that belong beside them, such as ``config.json``, by name.

    Examples
    --------
    >>> from fastinit.checkpoint import Recording, Rule, TensorSpec
    >>> specs = [TensorSpec(f"layers.{i}.weight", "F32", (8, 4)) for i in range(2)]
    >>> rules = [Rule(spec.name, "normal(std=0.02)", then=("[0] = zeros",)) for spec in specs]
    >>> print(Recording.of(specs, rules))
    match                         tensors  init
    /^layers\\.(\\d+)\\.weight$/  2        normal(std=0.02) then=[0] = zeros
    """

    specs: tuple[TensorSpec, ...]
    rules: tuple[Rule, ...]
    notes: tuple[str, ...] = ()
    stem: str = "model"
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, specs: Iterable[TensorSpec], rules: Iterable[Rule], notes: Iterable[str] = (), **more: Any
    ) -> Recording:
        """Return the recording of tensors and a rule for each name, merged if only numbers differ."""
        return cls(tuple(specs), tuple(_merged(list(rules))), tuple(notes), **more)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a recording that `save` wrote. BadInput if it cannot be used."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: cannot be read: {error}") from None
        return cls.from_content(content, str(path))

    @classmethod
    def from_content(cls, content: Any, where: str) -> Recording:
        """Return the recording in what JSON or TOML gave. BadInput, which names `where`, if malformed."""
        if not isinstance(content, Mapping) or content.get(_KEY) != 1:
            raise BadInput(f"{where}: is no recording: it has no {_KEY} = 1")
        listed, notes = content.get("tensors", {}), content.get("notes", [])
        if not isinstance(listed, Mapping) or not all(
            isinstance(entry, Mapping) and {"dtype", "shape"} == entry.keys() for entry in listed.values()
        ):
            raise BadInput(f"{where}: tensors must be a table of names with dtype and shape")
        specs = [checked(name, e["dtype"], tuple(e["shape"]), where) for name, e in listed.items()]
        stem, files = content.get("stem", "model"), content.get("files", {})
        if not isinstance(files, Mapping) or not all(isinstance(text, str) for text in files.values()):
            raise BadInput(f"{where}: files must be a table of names and texts")
        for name in (stem, *files):
            bare = isinstance(name, str) and name not in ("", ".", "..") and os.path.basename(name) == name
            if not bare or (name in files and ".safetensors" in name):
                raise BadInput(f"{where}: {name!r} is no name of a file beside a checkpoint")
        return cls(
            tuple(specs),
            tuple(from_tables(content.get("rules", []), where)),
            tuple(map(str, notes)),
            stem,
            dict(files),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recording: as TOML if the name ends so, else as JSON."""
        path = Path(path)
        path.write_text(self._toml() if path.suffix == ".toml" else self._json(), encoding="utf-8")

    def manifest(self) -> dict[str, Any]:
        """Return the list of tensors, as `generate` takes it."""
        return {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape)} for spec in self.specs}

    def _content(self) -> dict[str, Any]:
        return {
            _KEY: 1,
            "notes": list(self.notes),
            "rules": [r.table() for r in self.rules],
            "tensors": self.manifest(),
        }

    def _json(self) -> str:
        lines = json.dumps(self._content(), ensure_ascii=False)
        return lines.replace('{"match"', '\n{"match"').replace('"tensors": {', '\n"tensors": {') + "\n"

    def _toml(self) -> str:
        """Return TOML. JSON's strings, numbers and lists of strings are TOML's, too."""
        dumps = json.JSONEncoder(ensure_ascii=False).encode
        blocks = [f"{_KEY} = 1\nnotes = {dumps(list(self.notes))}\nstem = {dumps(self.stem)}"]
        blocks.append("\n".join(["[files]", *(f"{dumps(k)} = {dumps(v)}" for k, v in self.files.items())]))
        for rule in self.rules:
            table = rule.table()
            blocks.append(
                "\n".join(["[[rules]]", *(f"{key} = {dumps(value)}" for key, value in table.items())])
            )
        rows = [
            f"{dumps(spec.name)} = {{ dtype = {dumps(spec.dtype)}, shape = {dumps(list(spec.shape))} }}"
            for spec in self.specs
        ]
        return "\n\n".join([*blocks, "\n".join(["[tensors]", *rows])]) + "\n"

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, Recording) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.specs, self.rules))

    def __str__(self) -> str:
        from .choices import described
        from .matching import Model

        model = Model(self.specs, list(self.rules), "the recording")
        counts = Counter(model.match(spec) for spec in self.specs)
        rows = [("match", "tensors", "init")]
        rows += [(rule.match, str(counts[n]), described(rule)) for n, rule in enumerate(self.rules)]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows]
        return "\n".join([*lines, *(f"outside the contract: {note}" for note in self.notes)])


def recording_of(source: Any) -> Recording | None:
    """Return a recording, or the recording in a file, or None if the source is something else."""
    if isinstance(source, Recording):
        return source
    if not isinstance(source, (str, os.PathLike)) or not str(source).endswith((".json", ".toml")):
        return None
    try:
        with open(source, "rb") as file:
            start = file.read(100)
    except OSError:
        return None
    return Recording.load(source) if _KEY.encode() in start else None


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Return fewer rules that make the same tensors: one for names that differ in numbers alone.

    Each rule matches one name. Of the rules for names of one pattern, the most common becomes the pattern's.
    The others keep their names, and come first.
    """
    groups: dict[str, dict[Rule, list[Rule]]] = defaultdict(lambda: defaultdict(list))
    for rule in rules:
        parts = tuple(_NUMBER.sub("0", text) for text in rule.parts)
        alike = replace(rule, match="*", same_as=_open(rule.same_as), view=_open(rule.view), parts=parts)
        groups[_NUMBER.sub("0", rule.match)][alike].append(rule)
    exact: list[Rule] = []
    general: list[Rule] = []
    for kinds in groups.values():
        common = max(kinds.values(), key=len)
        merged = _general(common) if len(common) > 1 else None
        general += [] if merged is None else [merged]
        exact += [rule for kind in kinds.values() if merged is None or kind is not common for rule in kind]
    return exact + general


def _open(text: str | None) -> str | None:
    """Return a text without the numbers that a general rule may take from the name."""
    return text and _NUMBER.sub("0", text)


def _general(rules: Sequence[Rule]) -> Rule | None:
    """Return one rule for several that differ in numbers alone, or None if the numbers don't follow."""
    numbers = [_NUMBER.findall(rule.match) for rule in rules]
    pattern = r"(\d+)".join(re.escape(part) for part in _NUMBER.split(rules[0].match))
    try:
        same_as = _in_groups([rule.same_as or "" for rule in rules], numbers)
        view = _in_groups([rule.view or "" for rule in rules], numbers)
        parts = tuple(
            _in_groups(texts, numbers) for texts in zip(*(rule.parts for rule in rules), strict=True)
        )
    except LookupError:
        return None
    return replace(rules[0], match=f"/^{pattern}$/", same_as=same_as or None, view=view or None, parts=parts)


def _in_groups(texts: Sequence[str], numbers: Sequence[Sequence[str]]) -> str:
    """Return one text for all, with the names' numbers as groups. LookupError if there is none."""
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    taken = [_followed(column, numbers) for column in columns]
    pieces = _NUMBER.split(texts[0])
    return "".join(piece + number for piece, number in zip(pieces, [*taken, ""], strict=True))


def _followed(column: Sequence[str], numbers: Sequence[Sequence[str]]) -> str:
    """Return the number that a column holds, or the group of the names' numbers that it equals."""
    if len(set(column)) == 1:
        return column[0]
    for group, of_names in enumerate(zip(*numbers, strict=True), 1):
        if tuple(column) == of_names:
            return rf"\g<{group}>"
    raise LookupError
