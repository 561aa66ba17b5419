#!/bin/sh
# Steps of the image, shared by the Dockerfile and tools/rootfs.sh: image.sh dependencies | package | user
set -eu

target=/opt/csvd
pip="$target/bin/python -m pip --no-cache-dir --disable-pip-version-check --no-input"

dependencies() { # what csvd needs, as constraints.txt pins it, and the BIDS validator
    python3 -m venv "$target"
    cd /source
    if [ -n "${TORCH_INDEX:-}" ]; then # the pins fit builds without CUDA, such as 2.12.1+cpu, too
        # shellcheck disable=SC2046
        $pip install --no-deps --index-url "$TORCH_INDEX" $(grep -E '^torch(vision)?==' constraints.txt)
    fi
    python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        >"$target/dependencies.txt"
    $pip install --constraint constraints.txt --requirement "$target/dependencies.txt" bids-validator-deno setuptools
}

package() { # csvd itself; its wheel holds the weights
    cd /source
    $pip install --no-deps --no-build-isolation .
    "$target/bin/python" -c 'import csvd.networks' # fails here where torch and torchvision are not of one kind
}

user() { # who runs it, and where data and results are mounted
    useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin csvd
    mkdir -p /data /out
}

"$1"
