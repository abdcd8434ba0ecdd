import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeImage } from "../native-image.test-support.ts";

const directory = mkdtempSync(join(tmpdir(), "runts-cxx-runtime-"));
const machine = process.arch === "arm64" ? "arm64" : "x64";
const program = join(directory, "check");
const hasCompiler = spawnSync("g++", ["--version"]).status === 0;

/** C++ code like koffi's. It is linked with the real library; the library under test has the same name and is loaded at run time. */
const SOURCE = String.raw`
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

// koffi is built with an older compiler, whose headers use the first version of this symbol.
__asm__(".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,"
	"_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");

static int made = 0;
struct Slow { int value; Slow() { struct timespec t = { 0, 20000000 }; nanosleep(&t, nullptr); value = ++made; } };
static Slow &slow() { static Slow slow; return slow; }
static void *useSlow(void *) { return (void *)(intptr_t)slow().value; }

static std::mutex mutex;
static std::condition_variable *condition;
static bool ready = false;
static void *notify(void *) { std::lock_guard<std::mutex> lock(mutex); ready = true; condition->notify_one(); return nullptr; }

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "throw")) { std::function<void()> empty; empty(); }
	if (argc > 1 && !strcmp(argv[1], "length")) { std::vector<int> v; v.reserve((size_t)-1 / 8); }
	if (argc > 1 && !strcmp(argv[1], "memory")) { volatile size_t huge = (size_t)-1 / 4; free(::operator new(huge)); }

	void *zero = ::operator new(0), *array = ::operator new[](10);
	printf("new %d %d\n", zero != nullptr, array != nullptr);
	::operator delete(zero, (size_t)0);
	delete[] (char *)array;
	void *aligned = ::operator new(5, std::align_val_t(256));
	printf("aligned %lu\n", (unsigned long)((uintptr_t)aligned % 256));
	free(aligned);

	pthread_t threads[8];
	for (auto &thread : threads) pthread_create(&thread, nullptr, useSlow, nullptr);
	int sum = 0;
	for (auto &thread : threads) { void *value; pthread_join(thread, &value); sum += (int)(intptr_t)value; }
	printf("static %d of %d\n", sum, made);

	condition = new (malloc(sizeof *condition)) std::condition_variable;
	pthread_t notifier;
	{
		std::unique_lock<std::mutex> lock(mutex);
		pthread_create(&notifier, nullptr, notify, nullptr);
		while (!ready) condition->wait(lock);
	}
	pthread_join(notifier, nullptr);
	condition->~condition_variable();
	printf("woken %d\n", ready);

	std::once_flag flag;
	int calls = 0;
	for (int i = 0; i < 3; i++) std::call_once(flag, [&] { calls++; });
	printf("once %d\n", calls);
	return 0;
}
`;

describe.skipIf(!hasCompiler)("C++ runtime for koffi (needs g++)", () => {
  beforeAll(() => {
    writeImage(directory, "cxxRuntime", machine);
    writeFileSync(join(directory, "check.cc"), SOURCE);
    const flags = ["-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-Wno-unused"];
    const args = [...flags, "-o", program, join(directory, "check.cc")];
    const { status, stderr } = spawnSync("g++", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const run = (...args: string[]) =>
    spawnSync(program, args, { encoding: "utf8", env: { LD_PRELOAD: join(directory, "koffi-cxx.so") } });

  test("allocates, guards static variables, wakes threads and calls once, as libstdc++ does", () => {
    const { stdout, stderr, status } = run();
    expect({ stdout, stderr, status }).toEqual({
      stdout: "new 1 1\naligned 0\nstatic 8 of 1\nwoken 1\nonce 1\n",
      stderr: "",
      status: 0,
    });
  });

  for (const what of ["throw", "length", "memory"]) {
    test(`ends the process where libstdc++ would throw: ${what}`, () => {
      expect(run(what).signal).toBe("SIGABRT");
    });
  }
});
