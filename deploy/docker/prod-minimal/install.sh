#!/bin/sh
# Install what serving needs into the virtual environment $1; run from the repository's root.
# Both the Dockerfile and check.sh call this: what CI tries is what the image gets.
set -eu
# Without dependencies: the list is complete, and what it leaves out (PaddlePaddle, datasets,
# scikit-learn ...) must not come in by a side door.
"$1/bin/python" -m pip install --no-deps -r deploy/docker/prod-minimal/requirements.txt
"$1/bin/python" -m pip install --no-deps .
# Nobody installs anything afterwards.
"$1/bin/python" -m pip uninstall --yes pip setuptools >/dev/null
