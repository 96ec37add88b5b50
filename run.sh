#!/usr/bin/env bash
# Makes .venv once from the lock file, then hands every word to the package estimator_mnist.
set -euo pipefail

# The project is where this file is, not where a symbolic link to it is. (macOS before 12.3 has no `readlink -f`.)
script=${BASH_SOURCE[0]}
while [ -L "$script" ]; do
  target=$(readlink "$script")
  case $target in /*) script=$target ;; *) script=$(dirname "$script")/$target ;; esac
done
root=$(CDPATH='' cd -- "$(dirname "$script")" && pwd -P)
venv=$root/.venv
lock=$root/requirements.lock
gpu_lock=$root/requirements-gpu.lock  # tensorflow[and-cuda] in place of plain tensorflow
# nvidia-smi takes up to a second, and is not asked once CUDA's packages are installed.
if cmp -s "$gpu_lock" "$venv/installed.lock" || { command -v nvidia-smi && nvidia-smi; } >/dev/null 2>&1; then
  lock=$gpu_lock
fi

fail() {
  echo "run.sh: $*" >&2
  exit 2
}

case ${OSTYPE:-} in
  msys* | cygwin* | win32*) fail "Windows is not possible: use WSL2 (wsl --install), or the container of deploy/Dockerfile" ;;
esac

# Prints the Python to build .venv with. TensorFlow 2.15 has wheels for 3.9 to 3.11 only.
find_python() {
  local candidate
  if command -v uv >/dev/null 2>&1; then
    uv python find --no-project '>=3.9,<3.12' 2>/dev/null && return
    uv python install 3.11 >&2 && uv python find --no-project 3.11 2>/dev/null && return
  fi
  for candidate in python3.11 python3.10 python3.9 python3; do
    # Run it instead of looking for it: pyenv has a shim for every version.
    if "$candidate" -I -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; then
      command -v "$candidate" && return
    fi
  done
  return 1
}

# The copy of the lock in .venv is written last: without it, or with another one, .venv is incomplete.
is_complete() { cmp -s "$lock" "$venv/installed.lock"; }

# Deletes an incomplete or outdated .venv, but only one that this script made: the marker is the first file in it.
marker=.made-by-estimator-mnist
remove_venv() {
  if [ -e "$venv/$marker" ] || [ -e "$venv/installed.lock" ] || [ -z "$(ls -A "$venv" 2>/dev/null)" ]; then
    rm -rf "$venv"
  else
    fail "$venv was not made by run.sh: move or delete it, then run the same command again"
  fi
}

make_venv() {
  local python
  python=$(find_python) || fail "found no Python 3.9, 3.10 or 3.11 with venv: install python3.11 (Debian: python3.11-venv) or uv, then run the same command again"
  # The lock belongs to the open file, and ends with the processes that hold it. Python takes it, because macOS has no
  # flock command. pip inherits the file, so that the next call waits for a pip that outlives a killed run.sh.
  exec 9>"$root/.venv.making" || fail "cannot write to $root: .venv is made there"
  "$python" -I -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  if is_complete; then return; fi  # another call has made it in the meantime
  echo "run.sh: making .venv from $(basename "$lock") (once; takes a few minutes)" >&2
  remove_venv
  mkdir "$venv" && touch "$venv/$marker" || fail "cannot write to $root: .venv is made there"
  "$python" -I -m venv "$venv" || fail "'$python -m venv $venv' failed (see above)"
  # One package (promise) is built from source. Its build tools are pinned, too, and installed first.
  install "$root/requirements-build.lock" && install "$lock" --no-build-isolation ||
    fail "packages could not be installed (see above); run the same command again to retry"
  cp "$lock" "$venv/installed.lock.new" && mv "$venv/installed.lock.new" "$venv/installed.lock"
  exec 9>&-
}

install() {
  if command -v uv >/dev/null 2>&1; then
    VIRTUAL_ENV=$venv uv pip install --quiet --require-hashes --no-deps -r "$@"
  else
    "$venv/bin/python" -I -m pip install -qq --disable-pip-version-check --no-input --require-hashes --no-deps -r "$@"
  fi
}

is_complete || make_venv
# -I: no module is imported from the current folder, which may hold files of unknown origin; see run_module.py.
exec "$venv/bin/python" -I "$root/estimator_mnist/system/run_module.py" estimator_mnist "$@"
