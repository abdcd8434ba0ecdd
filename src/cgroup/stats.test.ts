import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { readStats } from "./stats.ts";

/** A directory with these files, in place of a cgroup. */
function cgroup(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), "runts-stats-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

const ZEROS = {
  cpu_exclusive: 0n,
  mem_hardwall: 0n,
  mem_exclusive: 0n,
  memory_migrate: 0n,
  memory_spread_page: 0n,
  memory_spread_slab: 0n,
  memory_pressure: 0n,
  sched_load_balance: 0n,
  sched_relax_domain_level: 0n,
};

it("leaves out stats without a file", () => {
  expect(readStats(cgroup({ "cgroup.procs": "" }))).toEqual({
    cpu: {},
    cpuset: ZEROS,
    memory: {},
    pids: {},
    blkio: {},
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: null,
  });
});

it("is empty for a cgroup that is gone", () => {
  expect(readStats("/sys/fs/cgroup/no-such-cgroup")).toMatchObject({ cpu: {}, pids: {}, hugetlb: {} });
});

it("cpu: nanoseconds of the kernel's microseconds, and throttling", () => {
  // Linux 6.6, with the cpu controller.
  const text = `usage_usec 24718113
user_usec 17820054
system_usec 6898058
core_sched.force_idle_usec 0
nr_periods 1204
nr_throttled 87
throttled_usec 5320948
nr_bursts 0
burst_usec 0
`;
  expect(readStats(cgroup({ "cpu.stat": text })).cpu).toEqual({
    usage: { total: 24718113000n, kernel: 6898058000n, user: 17820054000n },
    throttling: { periods: 1204n, throttledPeriods: 87n, throttledTime: 5320948000n },
  });
});

it("cpu: without the controller there is no throttling", () => {
  // Linux 6.18, without it.
  const text = "usage_usec 18181\nuser_usec 8578\nsystem_usec 9602\nnice_usec 0\n";
  expect(readStats(cgroup({ "cpu.stat": text })).cpu).toEqual({
    usage: { total: 18181000n, kernel: 9602000n, user: 8578000n },
  });
});

const MEMORY_STAT = `anon 1245184
file 5079040
kernel 1359872
kernel_stack 49152
pagetables 155648
sec_pagetables 0
percpu 288
sock 0
vmalloc 0
shmem 12288
zswap 0
zswapped 0
file_mapped 3244032
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 0
inactive_anon 1212416
active_anon 45056
inactive_file 2408448
active_file 2658304
unevictable 0
slab_reclaimable 702464
slab_unreclaimable 379240
slab 1081704
workingset_refault_anon 0
workingset_refault_file 18446744073709551615
pgfault 14027
pgmajfault 39
`;

it("memory: usage, and swap as the sum of both", () => {
  const { memory } = readStats(
    cgroup({
      "memory.stat": MEMORY_STAT,
      "memory.current": "7684096\n",
      "memory.max": "67108864\n",
      "memory.peak": "9089024\n",
      "memory.events": "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n",
      "memory.swap.current": "4096\n",
      "memory.swap.max": "33554432\n",
      "memory.swap.peak": "8192\n",
      "memory.swap.events": "high 0\nmax 3\nfail 0\n",
    }),
  );
  expect(memory).toMatchObject({
    cache: 5079040n,
    usage: { limit: 67108864n, usage: 7684096n, max: 9089024n, failcnt: 12n },
    swap: { limit: 100663296n, usage: 7688192n, failcnt: 3n },
    raw: { anon: 1245184n, slab_unreclaimable: 379240n, workingset_refault_file: 18446744073709551615n },
  });
  expect(Object.keys(memory.raw ?? {})).toHaveLength(29);
  expect(memory.swap).not.toHaveProperty("max");
});

it("memory: no limit is 2^64 - 1, also for the sum; without swap accounting there is no swap", () => {
  const files = { "memory.stat": "anon 0\nfile 0\n", "memory.current": "0\n", "memory.max": "max\n" };
  expect(readStats(cgroup(files)).memory).toEqual({
    usage: { limit: 18446744073709551615n, failcnt: 0n },
    raw: { anon: 0n, file: 0n },
  });
  const swap = { "memory.swap.current": "0\n", "memory.swap.max": "max\n" };
  expect(readStats(cgroup({ ...files, "memory.max": "4096\n", ...swap })).memory.swap?.limit).toBe(
    18446744073709551615n,
  );
});

it("pids: current and limit, which is left out if unlimited", () => {
  expect(readStats(cgroup({ "pids.current": "3\n", "pids.max": "2048\n" })).pids).toEqual({
    current: 3n,
    limit: 2048n,
  });
  expect(readStats(cgroup({ "pids.current": "3\n", "pids.max": "max\n" })).pids).toEqual({ current: 3n });
});

it("pids: counted without the controller, including descendants", () => {
  const files = { "cgroup.procs": "41\n42\n", "child/cgroup.procs": "43\n" };
  expect(readStats(cgroup(files)).pids).toEqual({ current: 3n });
});

it("blkio: bytes and operations by device, in the tables of v1", () => {
  // Linux 6.1: a device without I/O has no counts.
  const text = `253:0 rbytes=4059136 wbytes=0 rios=121 wios=0 dbytes=0 dios=0
8:16\x20
8:0 rbytes=4096 wbytes=18446744073709551615 rios=1 wios=9 dbytes=0 dios=0 cost.vrate=100.00
`;
  expect(readStats(cgroup({ "io.stat": text })).blkio).toEqual({
    ioServiceBytesRecursive: [
      { major: 253n, op: "Read", value: 4059136n },
      { major: 253n, op: "Write" },
      { major: 8n, op: "Read", value: 4096n },
      { major: 8n, op: "Write", value: 18446744073709551615n },
    ],
    ioServicedRecursive: [
      { major: 253n, op: "Read", value: 121n },
      { major: 253n, op: "Write" },
      { major: 8n, op: "Read", value: 1n },
      { major: 8n, op: "Write", value: 9n },
    ],
  });
});

it("hugetlb: a child cgroup named like a file is ignored", () => {
  const { hugetlb } = readStats(cgroup({ "hugetlb.2MB.current/cgroup.procs": "" }));
  expect(hugetlb).toEqual({ "2MB": { failcnt: 0n } });
});

it("hugetlb: by page size, with reservations if the kernel counts them", () => {
  const { hugetlb } = readStats(
    cgroup({
      "hugetlb.2MB.current": "2097152\n",
      "hugetlb.2MB.rsvd.current": "4194304\n",
      "hugetlb.2MB.max": "max\n",
      "hugetlb.2MB.events": "max 5\n",
      "hugetlb.2MB.events.local": "max 4\n",
      "hugetlb.1GB.current": "1073741824\n",
      "hugetlb.1GB.events": "max 0\n",
      "hugetlb.64KB.current": "0\n",
    }),
  );
  expect(hugetlb).toEqual({
    "2MB": { usage: 4194304n, failcnt: 5n },
    "1GB": { usage: 1073741824n, failcnt: 0n },
    "64KB": { failcnt: 0n },
  });
});

it("pressure: of cpu, memory and io", () => {
  const text = (total: string) =>
    `some avg10=0.22 avg60=12.17 avg300=1.11 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.40 total=40\n`;
  const stats = readStats(
    cgroup({
      "cpu.pressure": text("18446744073709551615"),
      "memory.pressure": text("2"),
      // Before Linux 5.13 there is no second line for the cpu.
      "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5155\n",
    }),
  );
  const full = { avg10: 0, avg60: 0, avg300: 0.4, total: 40n };
  expect(stats.cpu.psi).toEqual({
    some: { avg10: 0.22, avg60: 12.17, avg300: 1.11, total: 18446744073709551615n },
    full,
  });
  expect(stats.memory.psi).toMatchObject({ some: { total: 2n }, full });
  expect(stats.blkio.psi).toEqual({ some: { avg10: 0, avg60: 0, avg300: 0, total: 5155n } });
});
