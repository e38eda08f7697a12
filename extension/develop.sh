#!/usr/bin/env bash
# Builds the front end when its sources are newer than what was built, and links it and the
# server's configuration into the environment, so that JupyterLab there shows the working tree.
#
#   extension/develop.sh               build if needed, then link into .venv
#   extension/develop.sh --build-only  build if needed; this is what building the wheel calls
#
# Needs Node and the npm registry only when there is something to build. May be run again any time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

environment=$(cd .. && pwd)/.venv
built=cloister_lab/labextension
sources=(package.json yarn.lock .yarnrc.yml tsconfig.json src style schema)
[ ! -d "$environment/bin" ] || PATH=$environment/bin:$PATH

is_stale() {
  # Strictly newer: in an unpacked source archive all times are equal, and nothing is built.
  [ ! -f "$built/package.json" ] || [ ! -d "$built/static" ] ||
    [ -n "$(find "${sources[@]}" -newer "$built/package.json" -print -quit)" ]
}

install_packages() {
  local state=node_modules/.yarn-state.yml
  if [ -f "$state" ] && [ ! package.json -nt "$state" ] && [ ! yarn.lock -nt "$state" ]; then
    return
  fi
  # A registry that is slow for the first request makes the first attempt fail now and then.
  jlpm install --immutable || { sleep 5; jlpm install --immutable; }
  touch "$state"
}

build() {
  local tool
  for tool in node jlpm jupyter-builder; do
    if ! command -v "$tool" >/dev/null; then
      echo "develop.sh: $tool is needed to build the front end; install Node 20 or newer and" \
        "the Python package jupyterlab" >&2
      exit 1
    fi
  done
  install_packages
  # Old chunks have other names and would be shipped along.
  rm -rf "$built" lib tsconfig.tsbuildinfo
  jlpm build:prod
  find "$built" -name '*.orig' -delete
  touch "$built/package.json" # the time that is_stale compares with
}

link() {
  local share=$environment/share/jupyter/labextensions/@cloister
  mkdir -p "$share"
  # An installed wheel leaves a directory of copies; a link to the working tree takes its place.
  if [ -d "$share/lab" ] && [ ! -L "$share/lab" ]; then
    rm -rf "$share/lab"
  fi
  ln -sfn "$PWD/$built" "$share/lab"
  configure server-config jupyter_server_config.d
  configure labconfig labconfig/page_config.d
}

# The same places as in the wheel: see shared-data in pyproject.toml.
configure() {
  local source=jupyter-config/$1/cloister_lab.json target=$environment/etc/jupyter/$2/cloister_lab.json
  mkdir -p "${target%/*}"
  cmp -s "$source" "$target" || cp "$source" "$target"
}

if is_stale; then
  build
fi
case ${1:-} in
  '') link ;;
  --build-only) ;;
  *)
    echo "usage: develop.sh [--build-only]" >&2
    exit 2
    ;;
esac
