"""Puts the folders topologies/ and experiments/ into the wheel, inside the package testbed.

Everything else of the build is in pyproject.toml; testbed/shipped.py finds both places.
"""

from pathlib import Path

from setuptools import find_namespace_packages, setup

SHIPPED = ("topologies", "experiments")

folders = [
    folder
    for name in SHIPPED
    for folder in (Path(name), *sorted(Path(name).rglob("*")))
    if folder.is_dir() and folder.name != "__pycache__"
]
package_dir = {f"testbed.{'.'.join(folder.parts)}": folder.as_posix() for folder in folders}

setup(
    packages=[
        *find_namespace_packages(include=["testbed", "testbed.*"], exclude=["*.__pycache__"]),
        *package_dir,
    ],
    package_dir=package_dir,
    package_data={
        "": ["*.html", "*.css", "*.sh", "*.md", "py.typed"],
        **{name: ["*.yaml"] for name in package_dir},
    },
)
