import subprocess
import sys

import pytest

import facelm


def test_import_is_light_and_names_are_lazy():
    code = "import sys, facelm; print([m for m in ('numpy', 'torch', 'transformers') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert set(facelm.__all__) <= set(dir(facelm))
    with pytest.raises(AttributeError, match="FaceMotoin"):
        facelm.FaceMotoin  # noqa: B018


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert facelm.__version__ == version("facelm")
