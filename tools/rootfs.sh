#!/usr/bin/env bash
# Builds the root file system of the image without Docker, and runs the BIDS App in it as a container would:
#
#     tools/rootfs.sh FOLDER
#
# debootstrap makes the base, the steps are those of the Dockerfile. Two simulated participants then run at the same
# time, and after them their group: as a user without a home, without network, on a read-only root with read-only data.
# Needs Debian or Ubuntu, root, debootstrap, and 8 GB for FOLDER, which must not exist yet. TORCH_INDEX is as in the
# Dockerfile, but empty when not set. The certificates and name servers of this machine, and PIP_* of the environment,
# are lent to the build.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
mkdir "$1"
folder=$(realpath "$1")
root=$folder/root

lines() { # what follows an instruction of the Dockerfile, a line each
    sed -n "s/^$1 //p" Dockerfile
}

build() { # the steps of the Dockerfile, in one root in place of two
    debootstrap --variant=minbase --include=python3,python3-venv bookworm "$root"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    lines COPY | grep -v -e --from | while read -r line; do
        # shellcheck disable=SC2086
        tar --create --exclude=__pycache__ --exclude=eval ${line% *} | tar --extract --one-top-level="$root/source"
    done
    mkdir -p "$root/etc/ssl"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    unshare --mount bash -euc "
        mount -t proc proc '$root/proc'
        mount --bind /etc/ssl '$root/etc/ssl'
        export TORCH_INDEX='${TORCH_INDEX:-}'
        $(lines RUN | sed "s|^|chroot '$root' |")
    "
    rm -rf "$root/source" "$root/etc/resolv.conf" "$root/etc/hosts"
}

contained() { # contained DATA OUT COMMAND...: runs a command in the root, with two folders mounted
    unshare --mount --pid --net --ipc --uts --fork bash -euc '
        root=$1 data=$2 out=$3
        shift 3
        mount --bind "$root" "$root"
        mount -o remount,bind,ro "$root"
        mount --bind "$data" "$root/data"
        mount -o remount,bind,ro "$root/data"
        mount --bind "$out" "$root/out"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/tmp"
        exec chroot --userspec=1000:1000 --groups= "$root" /usr/bin/env -i HOME=/nowhere "$@"
    ' contained "$root" "$1" "$2" "${environment[@]}" "${@:3}"
}

simulate() { # a data set of two people
    install -d -o 1000 "$folder/cohort"
    contained "$folder/cohort" "$folder/cohort" csvd phantom --subjects 2 --seed 5 --split 0 0 1 --out /out/scans
    for scan in "$folder"/cohort/scans/sub-*/*_swi.nii.gz; do
        name=$(basename "$scan")
        install -D "$scan" "$data/${name%%_*}/anat/$name"
    done
    echo '{"Name": "Simulated", "BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["Nobody"]}' \
        >"$data/dataset_description.json"
    echo 'Simulated scans, of nobody. Made by csvd phantom to see whether the BIDS App of csvd runs.' >"$data/README"
}

build
mapfile -t environment < <(lines ENV | sed "s|\${TAG}|$(lines ARG | sed -n 's/^TAG=//p')|")
data=$folder/data out=$folder/out
install -d "$data"
install -d -o 1000 "$out"
simulate
contained "$data" "$out" csvd-bids --version
contained "$data" "$out" csvd-bids /data /out participant --participant-label 001 &
first=$!
contained "$data" "$out" csvd-bids /data /out participant --participant-label sub-002
wait $first
contained "$data" "$out" csvd-bids /data /out group
contained "$data" "$out" bids-validator-deno /out --ignoreWarnings
if contained "$data" "$out" csvd-bids /data /out participant --participant-label 003; then
    echo "an unknown participant must be an error" >&2
    exit 1
fi
echo "done: $(du -sh "$root" | cut -f 1) in $root, results in $out"
