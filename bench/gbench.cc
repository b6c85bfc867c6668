// SPDX-License-Identifier: MIT
// The C shim of gbench.h: each function is one call of google-benchmark. The opaque structs are the library's classes.
#include "gbench.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <vector>

static std::atomic<bool> failed; // set by any benchmark's thread, read when all have ended

static benchmark::internal::Benchmark *unwrap(struct gbench *b)
{
	return reinterpret_cast<benchmark::internal::Benchmark *>(b);
}

static benchmark::State *unwrap(struct gbench_state *state)
{
	return reinterpret_cast<benchmark::State *>(state);
}

static const benchmark::State *unwrap(const struct gbench_state *state)
{
	return reinterpret_cast<const benchmark::State *>(state);
}

struct gbench *gbench_register(const char *name, gbench_fn *fn, void *arg)
{
	auto run = [fn, arg](benchmark::State &state) { fn(reinterpret_cast<struct gbench_state *>(&state), arg); };

	return reinterpret_cast<struct gbench *>(benchmark::RegisterBenchmark(name, run));
}

void gbench_threads(struct gbench *b, int threads)
{
	unwrap(b)->Threads(threads);
}

void gbench_real_time(struct gbench *b)
{
	unwrap(b)->UseRealTime();
}

void gbench_min_time(struct gbench *b, double seconds)
{
	unwrap(b)->MinTime(seconds);
}

void gbench_iterations(struct gbench *b, int64_t n)
{
	unwrap(b)->Iterations(n);
}

bool gbench_keep_running_batch(struct gbench_state *state, int64_t n)
{
	return unwrap(state)->KeepRunningBatch(n);
}

int gbench_thread_index(const struct gbench_state *state)
{
	return unwrap(state)->thread_index();
}

int gbench_thread_count(const struct gbench_state *state)
{
	return unwrap(state)->threads();
}

void gbench_items(struct gbench_state *state, int64_t n)
{
	unwrap(state)->SetItemsProcessed(n);
}

void gbench_skip(struct gbench_state *state, const char *why)
{
	failed = true;
	unwrap(state)->SkipWithError(why);
}

void gbench_context(const char *key, const char *value)
{
	benchmark::AddCustomContext(key, value);
}

int gbench_main(int argc, char **argv)
{
	static char interleave[] = "--benchmark_enable_random_interleaving=true";
	static char repeat[] = "--benchmark_repetitions=7", medians[] = "--benchmark_display_aggregates_only=true";
	std::vector<char *> args{ argv[0], interleave, repeat, medians };
	int n;

	args.insert(args.end(), argv + 1, argv + argc); // what the user says comes later and wins
	n = static_cast<int>(args.size());
	benchmark::Initialize(&n, args.data());
	if (benchmark::ReportUnrecognizedArguments(n, args.data()))
		return 1;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return failed;
}
