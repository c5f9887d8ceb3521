"""Package definition of Penstock, and the file that Beam ships to its workers.

The import name is ``penstock``. Its sub-packages live at the top level of the repository (``pipelines/``,
``components/``, ``serving/``, ``metadata/``) and are reached through links in ``penstock/``, so that a user's own
``pipelines`` or ``components`` package never collides with ours.
"""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def _version() -> str:
    namespace: dict[str, str] = {}
    exec((HERE / "penstock" / "version.py").read_text(encoding="utf-8"), namespace)
    return namespace["__version__"]


setup(
    name="penstock",
    version=_version(),
    description="Declarative TFX pipelines: one typed YAML file, checked, built, run and tracked.",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["penstock", "penstock.*"]),
    package_data={
        "penstock": ["py.typed"],
        "penstock.pipelines": [
            "catalog/*.json",
            "image/requirements.txt",
            "image/template.Dockerfile",
            "report/template/*",
            "template/**/*",
            "template/*",
        ],
    },
    entry_points={"console_scripts": ["penstock = penstock.pipelines.cli:main"]},
    # The versions that work together are pinned in requirements/lock.txt; TFX's own pins cannot be resolved on
    # glibc < 2.39 (see requirements/overrides.txt), so the dependencies are installed from the lock, not from here.
    install_requires=[],
)
