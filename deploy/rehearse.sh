#!/bin/sh
# Builds the image without a container engine: a bare Debian root, the same steps in the same order as the Dockerfile's
# RUN lines, and in it, as the image's user and with nothing but what is in there, the demo. Needs root and debootstrap.
#   rehearse.sh [FOLDER]      FOLDER/build and FOLDER/run are made anew, FOLDER/base.tar is kept for the next time;
#                             without FOLDER everything is removed when the demo has passed
set -eu
# What is mounted below (the machine's own /dev is) exists in a mount namespace of this script alone: it ends with it,
# however that ends, and no `rm` from outside can reach through it.
namespace=$(readlink /proc/self/ns/mnt)
if [ "${REHEARSED_FROM:-$namespace}" = "$namespace" ]; then
    REHEARSED_FROM=$namespace exec unshare --mount --propagation private -- sh "$0" "$@"
fi
here=$(cd "$(dirname "$0")/.." && pwd)
suite=bookworm

command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -q -y --no-install-recommends debootstrap; }

leave() { # NAME: nothing is mounted there any more, also of what an earlier script left in the machine's own namespace
    for one in proc dev/shm dev; do
        while mountpoint -q "$root/$1/$one"; do umount -l "$root/$1/$one"; done
    done
}
empty() { # NAME…
    for one in "$@"; do (leave "$one"); rm -rf --one-file-system "${root:?}/$one"; done
}
finish() {
    status=$?
    leave build
    leave run
    if [ -n "${1:-}" ]; then return; fi
    if [ "$status" = 0 ]; then rm -rf --one-file-system "${root:?}"; else echo "rehearse.sh: what was built is in $root" >&2; fi
}
bare() { # NAME: a root as the base image has it, that can resolve names and reach what this machine reaches
    if [ ! -e "$root/base.tar" ]; then
        empty base
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$root/base" >"$root/debootstrap.log"
        tar -C "$root/base" -cf "$root/base.part" .
        mv "$root/base.part" "$root/base.tar"
        empty base
    fi
    mkdir -p "$root/$1"
    tar -C "$root/$1" -xf "$root/base.tar"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        if [ -e "$file" ]; then cp -L "$file" "$root/$1$file"; fi
    done
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/$1/etc/trusted-here.crt"
    rm -rf "$root/$1/etc/apt" && cp -a /etc/apt "$root/$1/etc/apt"
    mkdir -p "$root/$1/proc" "$root/$1/dev"
    mount -t proc proc "$root/$1/proc"
    mount --bind /dev "$root/$1/dev"
    mount -t tmpfs -o mode=1777,size=64m shm "$root/$1/dev/shm" # as every container engine does
}
inside() { # NAME COMMAND…
    name=$1
    shift
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        PIP_CERT=/etc/trusted-here.crt \
        ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${http_proxy:+http_proxy="$http_proxy"} chroot "$root/$name" "$@"
}

given=${1:-}
root=${given:-$(mktemp -d)}
mkdir -p "$root"
root=$(cd "$root" && pwd -P)
trap 'finish "$given"' EXIT
trap 'exit 130' HUP INT TERM
empty build run

echo "== FROM (build)"
bare build
mkdir -p "$root/build/src/deploy"
cp "$here/deploy/image.sh" "$root/build/src/deploy/"
inside build sh /src/deploy/image.sh tools
(cd "$here" && git ls-files -z requirements pyproject.toml README.md LICENSE NOTICE CHANGELOG.md tocsin ingest detectors \
    bursts incidents notifier web config deploy | tar --null -cf - -T -) | tar -C "$root/build/src" -xf -
inside build sh /src/deploy/image.sh build /src

echo "== FROM (run)"
bare run
mkdir -p "$root/run/usr/local/share/tocsin" "$root/run/opt"
cp "$here/deploy/image.sh" "$here/deploy/certificates.sh" "$root/run/usr/local/share/tocsin/"
inside run sh /usr/local/share/tocsin/image.sh runtime
cp -a "$root/build/opt/tocsin" "$root/run/opt/tocsin"

echo "== the demo, as the image's user"
inside run setpriv --reuid=tocsin --regid=tocsin --clear-groups env HOME=/var/lib/tocsin \
    TOCSIN_DATA=/var/lib/tocsin PATH=/opt/tocsin/bin:/usr/bin:/bin sh -c 'cd /var/lib/tocsin && tocsin --version && tocsin demo --plain --speed 40'
du -sh "$root/run/opt/tocsin" "$root/run" 2>/dev/null | tail -2
