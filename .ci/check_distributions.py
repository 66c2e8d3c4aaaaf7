"""What is in the wheel and the sdist in the folder given: all that is needed, and no other
top-level names.
"""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

PACKAGES = {
    "redrepl": "redrepl",
    "redrepl_cli": "cli/redrepl_cli",
    "redrepl_workers": "workers/redrepl_workers",
}
DATA = ("*.lua", "*.c", "py.typed", "*.py")
NEEDED_TO_BUILD_AND_TEST = (
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "README.md",
    "LICENSE",
    "docker-compose.yml",
    "docker/redrepl.toml",
    "docker/Dockerfile",
    "docker/Dockerfile.dockerignore",
    ".ci/run",
    ".editorconfig",
    ".pre-commit-config.yaml",
    "docs/reference.py",
    "docs/examples/quick_start.py",
    "tests/conftest.py",
)


def source_files() -> set[str]:
    """The names that the packages' files have once installed."""
    return {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for pattern in DATA
        for path in Path(folder).rglob(pattern)
    }


def check(what: str, wrong: set[str]) -> None:
    """End with a message if there is anything wrong."""
    if wrong:
        sys.exit(f"{what}: {', '.join(sorted(wrong))}")


def check_wheel(wheel: Path) -> None:
    """Exactly the three packages, with every file of theirs, and the license."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    information = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    check(
        f"{wheel.name}: other top-level names",
        {PurePosixPath(n).parts[0] for n in names} - {*PACKAGES, information},
    )
    check(f"{wheel.name}: missing", (source_files() | {f"{information}/licenses/LICENSE"}) - names)
    check(
        f"{wheel.name}: not in the source tree",
        {n for n in names if not n.startswith(information)} - source_files(),
    )
    lua = sum(name.endswith(".lua") for name in names)
    sys.stdout.write(f"{wheel.name}: {len(names)} files, {lua} of them Lua\n")


def check_sdist(sdist: Path) -> None:
    """Enough to build, test and deploy from."""
    with tarfile.open(sdist) as archive:
        names = {
            PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()
        }
    check(f"{sdist.name}: missing", set(NEEDED_TO_BUILD_AND_TEST) - names)
    tests = {path.as_posix() for path in Path("tests").rglob("*.py")}
    check(f"{sdist.name}: missing", tests - names)
    sys.stdout.write(f"{sdist.name}: {len(names)} files, {len(tests)} of them tests\n")


def main() -> None:
    """Check the one wheel and the one sdist."""
    folder = Path(sys.argv[1])
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)


if __name__ == "__main__":
    main()
