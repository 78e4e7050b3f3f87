"""Generators from generators: copies, pickles and children."""

import os
from threading import RLock

import numpy as np

from fastinit._sampling cimport Source

from fastinit._numpy_methods import NumpyMethods

cdef object numpys_init = np.random.Generator.__init__  # a call of `super` takes as long as all of this

# A SeedSequence counts its children without a lock. It may belong to several generators.
cdef object spawning = RLock()


def _after_fork():
    global spawning
    spawning = RLock()  # a thread that is not in the child may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Copyable(NumpyMethods):
    """A generator whose copies, pickles and children have its class, attributes and kind of normals."""

    def __init__(self, bit_generator, normals="box-muller"):
        numpys_init(self, bit_generator)
        self._source = Source(bit_generator)
        if normals not in ("box-muller", "ziggurat"):
            raise ValueError(f"normals must be 'box-muller' or 'ziggurat', not {normals!r}")
        self._normals = normals
        (<Source>self._source).ziggurat = normals == "ziggurat"

    @property
    def normals(self):
        """The method that makes normals: "box-muller" or "ziggurat"."""
        return self._normals

    def __str__(self):
        more = "" if self._normals == "box-muller" else f", normals={self._normals!r}"
        return f"{type(self).__name__}({type(self.bit_generator).__name__}{more})"

    def __repr__(self):
        return f"{self} at 0x{id(self):X}"

    def __reduce__(self):
        return _over, (type(self), self.bit_generator), self.__getstate__()

    def __getstate__(self):
        """Return the attributes, as `object.__getstate__` does, without what the bit generator makes."""
        state = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        attributes = {name: value for name, value in attributes.items() if name != "_source"}
        return (attributes, slots) if slots else attributes

    def __setstate__(self, state):
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        self.__dict__.update(attributes)
        (<Source>self._source).ziggurat = self._normals == "ziggurat"
        for name, value in (slots or {}).items():
            setattr(self, name, value)

    def _twin(self, bit_generator):
        """Return a generator over another bit generator, with the class and attributes of this one."""
        return _over(type(self), bit_generator, self.__getstate__())

    def spawn(self, n_children):
        """Return new generators with independent streams, as `numpy.random.Generator.spawn` does.

        Threads may call it at once, also of generators that share a SeedSequence.

        Parameters
        ----------
        n_children : int

        Returns
        -------
        list of Generator
            With the class and attributes of this one, whose constructor is not called.

        Raises
        ------
        TypeError
            The bit generator has no SeedSequence.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> len(default_rng(7).spawn(3))
        3
        """
        with spawning:
            children = self.bit_generator.spawn(n_children)
        state = self.__getstate__()
        return [_over(type(self), each, state) for each in children]


def _over(cls, bit_generator, state=None):
    """Return a generator of a class, without a call of its own constructor, with a state if one is given."""
    rng = np.random.Generator.__new__(cls)
    Copyable.__init__(rng, bit_generator)
    if state is not None:
        rng.__setstate__(state)
    return rng
