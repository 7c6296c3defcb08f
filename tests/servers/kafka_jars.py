"""Apache Kafka's jars: fetched once by Maven, and held to the sums in `kafka_jars.sha256`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from tests.servers.processes import ServerFailed, run, scratch
from tests.servers.setting_up import LeftOut, apt_install, cached, once

VERSION = "4.2.0"
LOGGING_VERSION = "2.25.3"  # log4j's, the one that Kafka comes with
SUMS = Path(__file__).with_name("kafka_jars.sha256")
JAVA_FLOOR = 17
MAVEN_S = 240.0
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tocsin</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOGGING_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


@once
def java() -> Path:
    """The Java that runs the brokers, installed first where there is none.

    Raises:
        LeftOut: there is none of at least `JAVA_FLOOR`, and none can be installed.
    """
    if (found := _java()) is None:
        apt_install("default-jre-headless")
        if (found := _java()) is None:
            raise LeftOut("kafka: Java was installed but is not found")
    version = re.search(r'version "(\d+)', run((found, "-version")))
    if version is None or int(version[1]) < JAVA_FLOOR:
        raise LeftOut(f"kafka: {found} is older than Java {JAVA_FLOOR}")
    return found


def java_version() -> str:
    """What that Java says of itself."""
    return run((java(), "-version"))


def _java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin/java").exists():
        return Path(home) / "bin/java"
    found = shutil.which("java")
    return None if found is None else Path(found)


@once
def jars() -> Path:
    """The folder of the jars, in the cache.

    Raises:
        LeftOut: they can't be fetched, or are not the ones that we know.
    """
    of = hashlib.sha256(SUMS.read_bytes()).hexdigest()[:12]
    return cached(f"kafka-{VERSION}-{of}", fetch)


def sums(folder: Path) -> str:
    """One line a jar: its sha256 and name, as `sha256sum` writes them."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.glob("*.jar"))
    )


def fetch(folder: Path) -> None:
    """Put the jars into *folder*; raises LeftOut when they are not the ones that we know."""
    download(folder)
    have, want = sums(folder), SUMS.read_text(encoding="utf-8")
    if have != want:
        names = sorted({line.split()[1] for line in set(have.splitlines()) ^ set(want.splitlines())})
        raise LeftOut(f"kafka: these jars are not those of {SUMS.name}: {', '.join(names)}")


def download(folder: Path) -> None:
    """Let Maven put Kafka and all that it needs at run time into *folder*; Maven knows from where.

    Raises:
        LeftOut: Maven can't be had, or fails.
    """
    if shutil.which("mvn") is None:
        apt_install("maven")
    pom = folder / "pom.xml"
    pom.write_text(POM, encoding="utf-8")
    try:
        run(
            (
                "mvn",
                "-B",
                "-q",
                "-f",
                pom,
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={folder}",
            ),
            limit_s=MAVEN_S,
        )
    except ServerFailed as error:
        raise LeftOut(f"kafka: its jars could not be fetched: {error}") from error


def main() -> None:
    """Write the sums of what Maven brings now, for a new version."""
    folder = scratch("jars")
    download(folder)
    SUMS.write_text(sums(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
