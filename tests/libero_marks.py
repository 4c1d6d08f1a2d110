"""Tests of LIBERO's own tasks run where its assets are: in the folder that LIBERO_ASSETS names, or fetched."""

import pytest

from worldvla.simulation.libero_assets import find_assets


def absence() -> str:
    """Return why LIBERO's assets are not there; nothing if they are."""
    try:
        find_assets()
    except ValueError as error:
        return str(error)
    return ""


LIBERO = [pytest.mark.libero, pytest.mark.skipif(bool(absence()), reason=absence() or "LIBERO's assets are there")]


def needs_libero(test):
    """Mark one test."""
    for mark in LIBERO:
        test = mark(test)
    return test
