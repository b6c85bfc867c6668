#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds the release and shows it at work: every word of this machine's own text files counted in a shared map, then the
# engine and the live kernel side by side.
set -euo pipefail
cd "$(dirname "$0")"

.ci/setup
if [[ ! -f build/release/build.ninja ]]; then
	echo "configuring build/release"
	meson setup build/release --buildtype=release -Dtests=false >/dev/null
fi
echo "building build/release"
ninja -C build/release --quiet

printf '\nCounting words in one shared map\n'
build/release/bench/wordcount/wordcount
printf '\nEngine and live kernel side by side\n'
build/release/bench/sidebyside
