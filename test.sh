#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds the library in every way it's meant to work and runs the tests in each. With arguments: only the steps whose
# title contains one of them. The builds stay below build/, so that a second run is quicker.
set -u
cd "$(dirname "$0")" || exit 1

passed=0 failed=0 skipped=0
only=("$@")

wanted() {
	local word
	[[ ${#only[@]} -eq 0 ]] && return 0
	for word in "${only[@]}"; do
		[[ $1 == *"$word"* ]] && return 0
	done
	return 1
}

# step TITLE COMMAND…: one heading, one time. A command that fails is one failure, beside the tests that it counts itself.
step() {
	local title=$1 begin=$SECONDS
	shift
	wanted "$title" || return 0
	printf '\n=== %s\n' "$title"
	if ! "$@"; then
		printf '*** FAILED: %s\n' "$title"
		failed=$((failed + 1))
	fi
	printf -- '--- %s: %d s\n' "$title" $((SECONDS - begin))
}

# build NAME MESON-ARGUMENT…
build() {
	local dir=build/$1 again=()
	shift
	[[ -f $dir/build.ninja ]] && again=(--reconfigure)
	meson setup "${again[@]}" "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
	ninja -C "$dir" --quiet
}

# check NAME MESON-TEST-ARGUMENT…: runs a build's tests and counts them. Running none is a failure.
check() {
	local dir=build/$1 ok bad
	shift
	meson test -C "$dir" --no-rebuild --print-errorlogs "$@"
	ok=$(grep -c '"result": "OK"' "$dir/meson-logs/testlog.json")
	bad=$(grep -cE '"result": "(FAIL|TIMEOUT|INTERRUPT|ERROR|UNEXPECTEDPASS)"' "$dir/meson-logs/testlog.json")
	passed=$((passed + ok)) failed=$((failed + bad))
	skipped=$((skipped + $(grep -c '"result": "SKIP"' "$dir/meson-logs/testlog.json")))
	[[ $ok -gt 0 ]] || { echo "no test passed"; return 1; }
}

gcc_release() {
	build gcc --buildtype=release -Dwerror=true && check gcc
}

clang_release() {
	CC=clang CXX=clang++ build clang --buildtype=release -Dwerror=true &&
		check clang --no-suite slow --no-suite concurrency --no-suite bench
}

# Warnings are judged without sanitizers: under them gcc sees uninitialised variables that are none.
asan() {
	build asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Dbench=false &&
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=$PWD/.ci/ubsan.supp \
			check asan --timeout-multiplier 4 --no-suite slow
}

# -Wno-tsan: gcc warns of every fence, which ThreadSanitizer does not model.
tsan() {
	build tsan --buildtype=debugoptimized -Db_sanitize=thread -Dc_args=-Wno-tsan -Dbench=false &&
		check tsan --timeout-multiplier 4 --suite concurrency
}

# What other CPUs get: no SSE2, no inline assembly.
portable() {
	build portable --buildtype=release -Dwerror=true -Dc_args=-DUSERMAP_PORTABLE -Dbench=false &&
		check portable --no-suite slow --no-suite concurrency --no-suite project
}

aarch64() {
	.ci/aarch64 build/aarch64-root &&
		build aarch64 --cross-file build/aarch64-root/cross --buildtype=release -Dwerror=true -Dbench=false &&
		check aarch64 --timeout-multiplier 4 --suite unit
}

# guest ARCH DEBIAN-ARCH BUILD GUEST-ARGUMENT…: runs tests of a build on many emulated CPUs, and counts them.
guest() {
	local arch=$1 kernel=build/kernel-$2 dir=build/$3 log=build/guest-$1.log ok
	shift 3
	python3 tests/qemu/guest.py "$arch" "$kernel/vmlinuz" "$dir" "$@" >"$log"
	cat "$log"
	ok=$(grep -c '^ok - ' "$log")
	passed=$((passed + ok)) failed=$((failed + $(grep -c '^not ok - ' "$log")))
	[[ $ok -gt 0 ]] || { echo "no test passed"; return 1; }
}

x86_64_guest() {
	.ci/kernel amd64 build/kernel-amd64 && build gcc --buildtype=release -Dwerror=true && guest x86_64 amd64 gcc
}

aarch64_guest() {
	.ci/kernel arm64 build/kernel-arm64 && .ci/aarch64 build/aarch64-root &&
		build aarch64 --cross-file build/aarch64-root/cross --buildtype=release -Dwerror=true -Dbench=false &&
		guest aarch64 arm64 aarch64 --sysroot build/aarch64-root/root
}

coverage() {
	build coverage --buildtype=debug -Db_coverage=true -Dc_args=-fprofile-update=atomic -Dbench=false || return 1
	find build/coverage -name '*.gcda' -delete
	check coverage --timeout-multiplier 4 --no-suite slow
	gcovr -r . --filter engine/ --object-directory build/coverage --fail-under-line 90 build/coverage
}

printf '=== set-up\n'
.ci/setup --tests || exit 1
mkdir -p build
step 'gcc, all tests' gcc_release
step 'clang' clang_release
step 'asan and ubsan' asan
step 'tsan' tsan
step 'portable fallback' portable
step 'aarch64 under qemu-user' aarch64
step 'guest of 16 CPUs' x86_64_guest
step 'guest of 4 aarch64 CPUs' aarch64_guest
step 'coverage' coverage
step 'mutants still apply' python3 tests/mutants/run.py --check-texts

printf '\n%d s in all\n' "$SECONDS"
if [[ $skipped -gt 0 ]]; then
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
else
	printf '%d passed, %d failed\n' "$passed" "$failed"
fi
[[ $failed -eq 0 && $passed -gt 0 ]]
