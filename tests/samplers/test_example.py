from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType

import pytest

import samplers

FOLDER = Path(samplers.__file__).parent


def test_example_finds_the_optimum_of_its_formula(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(FOLDER / "example.py"), run_name="__main__")
    best, recommended = capsys.readouterr().out.splitlines()[-2:]
    assert best.startswith("best trial ")
    assert "'optimizer': 'adam'" in recommended


def test_folder_loads_under_another_name() -> None:
    """As registries of samplers load a package: from its folder, under a name of their own."""
    spec = importlib.util.spec_from_file_location(
        "elsewhere_samplers", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        assert module.WeightedParentSampler is not samplers.WeightedParentSampler
        assert module.WeightedParentSampler(mode="classic", seed=0)
    finally:
        for name in [name for name in sys.modules if name.startswith("elsewhere_samplers")]:
            del sys.modules[name]


def test_folder_loads_as_an_optunahub_package() -> None:
    optunahub = pytest.importorskip("optunahub")
    module = optunahub.load_local_module("samplers", registry_root=str(FOLDER.parent))
    assert module.WeightedParentSampler(mode="adaptive", seed=0)
