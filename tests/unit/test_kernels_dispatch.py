"""Which kernels run where, what `doctor` is told about it, and the encodings by name."""

import kernel_cases as cases
import pytest

from animate124.errors import UserError
from animate124.kernels import cpu, dispatch
from animate124.kernels.levels import GridLevels


def test_dispatch_takes_numba_on_cpu_and_the_reference_when_told(monkeypatch):
    monkeypatch.delenv("ANIMATE124_KERNELS", raising=False)
    assert dispatch.backend_name("cpu") == "numba"
    assert set(dispatch.backends()) == {"encode", "mlp", "march", "composite", "splat"}
    monkeypatch.setenv("ANIMATE124_KERNELS", "reference")
    assert dispatch.backend_name("cpu") == "reference"
    assert set(dispatch.backends().values()) == {"reference"}
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "mlp", None)  # would break if it were called
        cases.check_mlp(dispatch, 5)
    monkeypatch.setenv("ANIMATE124_KERNELS", "fastest")
    with pytest.raises(UserError, match="ANIMATE124_KERNELS=fastest"):
        dispatch.backend_name("cpu")


def test_dispatch_says_once_that_a_device_has_no_fast_kernels(monkeypatch):
    monkeypatch.delenv("ANIMATE124_KERNELS", raising=False)
    monkeypatch.setattr(dispatch, "_has", lambda module: False)
    dispatch._warn_slow.cache_clear()
    with pytest.warns(UserWarning, match="install numba") as caught:
        cases.check_mlp(dispatch, 5)
        cases.check_mlp(dispatch, 5)
    assert len(caught) == 1
    dispatch._warn_slow.cache_clear()


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_dispatch_march_returns_unit_cube_points(backend, monkeypatch):
    monkeypatch.setenv("ANIMATE124_KERNELS", "reference" if backend == "reference" else "")
    assert dispatch.backend_name("cpu") == backend
    cases.check_march(dispatch, "random", True)


def test_status_names_every_accelerator():
    status = dispatch.status()
    assert set(status) == {"tinycudann", "nerfacc", "gsplat", "triton"}
    for facts in status.values():
        assert set(facts) == {"present", "version", "used_for", "lost_without", "install"}
        assert facts["present"] == (facts["version"] is not None)
        assert all(facts[key] for key in ("used_for", "lost_without", "install"))


def test_encodings_by_name(monkeypatch):
    levels = dispatch.encoding_levels("grid", levels=3, coarsest=4, finest=16)
    assert levels == GridLevels(levels=3, coarsest=4, finest=16)
    with pytest.raises(UserError, match="no encoding 'hash'"):
        dispatch.encoding_levels("hash")
    monkeypatch.setattr(dispatch, "_has", lambda module: False)
    with pytest.raises(UserError, match="tcnn needs"):
        dispatch.encoding_levels("tcnn")
