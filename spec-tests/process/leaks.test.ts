import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import { defaultConfig } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { invoke, RUNTIME, RUNTIME_NAME, which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "the container sees what the caller's shell would have given it";
const PEERS = ["runc", "crun"].filter((name) => name !== RUNTIME_NAME).flatMap((name) => which(name) ?? []);

/** Compares the output of `args` in the default container under the runtime with that under each peer of this machine. */
async function compare(sandbox: Sandbox, args: string[], normalise: (line: string) => string) {
  const container = sandbox.container((config) => {
    config.process.args = args;
  });
  const lines = async (runtime: string): Promise<string[]> => {
    const root = sandbox.path(`root-of-${runtime.replaceAll("/", "_")}`);
    const result = await invoke(["--root", root, "run", "--bundle", container.bundle, container.id], {
      directory: sandbox.directory,
      env: { SPEC_TEST_TAG: sandbox.tag },
      runtime,
    });
    expect(result.stderr, runtime).toBe("");
    return result.stdout
      .trim()
      .split("\n")
      .map((line) => normalise(line.replaceAll(sandbox.directory, "DIR")))
      .filter(Boolean);
  };
  const own = await lines(RUNTIME);
  const others: string[][] = [];
  for (const peer of PEERS) others.push(await lines(peer));
  return {
    /** Lines that no peer shows. */
    extra: own.filter((line) => !others.some((other) => other.includes(line))),
    /** Lines that every peer shows, but the runtime does not. */
    missing: (others[0] ?? []).filter(
      (line) => others.every((other) => other.includes(line)) && !own.includes(line),
    ),
  };
}

const SAME = { extra: [], missing: [] };
/** Counters and sizes, different in every run. */
const VARYING = /^(Vm|Rss|Hugetlb|voluntary|nonvoluntary|SigQ|Ngid|CoreDumping|Threads)/;

const FILES: readonly (readonly [string, string[], (line: string) => string])[] = [
  ["/proc/self/status", ["cat", "/proc/self/status"], (line) => (VARYING.test(line) ? "" : line)],
  ["/proc/self/limits", ["cat", "/proc/self/limits"], (line) => line],
  ["/proc/self/cgroup", ["cat", "/proc/self/cgroup"], (line) => (line.startsWith("0::") ? line : "")],
  ["/proc/self/fd", ["ls", "/proc/self/fd"], (line) => line],
  ["environment", ["env"], (line) => line],
  ["/dev", ["ls", "-ln", "/dev"], (line) => line.replace(/\w{3} +\d+ +\d\d:\d\d/, "")],
  ["/proc/self/mountinfo", ["cat", "/proc/self/mountinfo"], normaliseMount],
  ["/proc/net/dev", ["cat", "/proc/net/dev"], (line) => line],
  [
    "/proc/self/timerslack, oom, personality",
    ["cat", "/proc/self/timerslack_ns", "/proc/self/oom_score_adj", "/proc/self/personality"],
    (line) => line,
  ],
];

/** Keeps mount point, flags, propagation and type. Ids, device numbers and sources differ in every run. */
function normaliseMount(line: string): string {
  const fields = line.split(" ");
  const target = fields[4] ?? "";
  if (defaultConfig().linux.maskedPaths?.includes(target)) return target; // each runtime masks it in its own way
  const dash = fields.indexOf("-");
  const optional = fields.slice(6, dash).map((field) => field.replace(/:\d+/, ""));
  return [...fields.slice(4, 6), ...optional, ...fields.slice(dash, dash + 2)].join(" ");
}

const deviations = byCase(
  {
    both: "runc and crun differ among themselves here: a third runtime has to agree with one of them",
    cases: ["/proc/self/status", "/dev"],
  },
  {
    crun: { reason: "a mount of cgroup2 does not follow symbolic links", from: "1.28" },
    cases: ["/proc/self/mountinfo"],
  },
);

for (const [name, args, normalise] of FILES) {
  spec(
    `run, ${name} in the container: the same as under the peers`,
    CLAUSE,
    async (sandbox, context) => {
      if (PEERS.length === 0) context.skip("neither runc nor crun is installed to compare with");
      expect(await compare(sandbox, args, normalise)).toEqual(SAME);
    },
    deviations(name),
  );
}

spec(
  "create, init waiting for start: no host file mapped or open in it",
  "promise: the stub; CVE-2019-5736",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    const { pid } = await container.state();
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
    expect(maps).not.toMatch(/\.so|node|bun|\/usr\//);
    expect(readlinkSync(`/proc/${pid}/exe`)).not.toBe(RUNTIME);
    const own = readFileSync(`/proc/${pid}/mountinfo`, "utf8")
      .split("\n")
      .map((line) => line.split(" ")[0]);
    const outside = readdirSync(`/proc/${pid}/fd`).filter((fd) => {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
      const mount = /mnt_id:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1];
      // Allowed: stdio, descriptors without a path, the runtime's own state, and files on the container's mounts.
      const allowed =
        Number(fd) <= 2 || !path.startsWith("/") || path.startsWith("/memfd:") || path.includes(sandbox.root);
      return !allowed && !own.includes(mount);
    });
    expect(outside.map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))).toEqual([]);
  },
  { both: "its init waits as the runtime's own executable" },
);

/** Tells which device a standard stream is, by one that is open. */
const device = (stream: number, to: number) =>
  `echo $(stat -L -c %t:%T /proc/$$/fd/${stream}) >&${to}; exit 0`;

for (const stream of [0, 1, 2])
  for (const command of ["run", "exec"])
    spec(
      `${command}, the caller has closed its descriptor ${stream}: the program has /dev/null there, and no file of the runtime`,
      CLAUSE,
      async (sandbox) => {
        const script = device(stream, stream === 1 ? 2 : 1);
        const wrapper = ["sh", "-c", `exec "$@" ${stream}>&-`, "sh"];
        const container = sandbox.shell(command === "run" ? script : "sleep 1000");
        if (command === "exec") await container.started();
        const { code, stdout, stderr } =
          command === "run"
            ? await container.run({ wrapper })
            : await container.exec(["sh", "-c", script], { wrapper });
        expect([code, stdout + stderr]).toEqual([0, "1:3\n"]);
      },
      {
        runc: "copies from or to /dev/null through a pipe",
        crun: "leaves it closed, or crashes",
      },
    );
