"""Projects whose build is not setuptools'."""

HATCHLING = """
    [build-system]
    requires = ["hatchling>=1"]
    build-backend = "hatchling.build"

    [project]
    name = "toy"
    version = "1"

    [tool.hatch.build.targets.wheel]
    only-include = ["toy.py"]
"""


def test_a_project_that_hatchling_builds(project, capsys):
    (project.folder / "setup.py").unlink()
    project.write("pyproject.toml", HATCHLING)
    project.commit(it=2)
    project.commit(it=6)
    assert project.compare("--threshold", "50") == 1
    assert "slower by more than 50%: bench_toy.py::test_it[it]" in capsys.readouterr().out


def test_a_build_backend_that_is_missing(project, capsys):
    (project.folder / "setup.py").unlink()
    project.write("pyproject.toml", HATCHLING.replace("hatchling.build", "gone_backend.build"))
    project.commit(it=2)
    assert project.compare("HEAD", "HEAD") == 2
    said = capsys.readouterr().err
    assert "its build backend gone_backend is not installed here: pip install 'hatchling>=1'" in said
    assert len(said.splitlines()) == 2
