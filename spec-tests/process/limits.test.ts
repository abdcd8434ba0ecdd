import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const RLIMITS_UNCHECKED = "a type needs no prefix, and exec sets limits after it has changed the user";

const CLAUSE = "config.md, process.rlimits";

spec(
  "run, rlimits: getrlimit in the container gives the same values",
  `${CLAUSE}: MUST match`,
  async (sandbox) => {
    const container = sandbox.shell(
      "grep -E 'open files|core file|processes|stack size' /proc/1/limits",
      (config) => {
        config.process.rlimits = [
          { type: "RLIMIT_NOFILE", soft: 512, hard: 768 },
          { type: "RLIMIT_CORE", soft: 0, hard: 4096 },
          { type: "RLIMIT_NPROC", soft: 100, hard: 200 },
          { type: "RLIMIT_STACK", soft: 4_194_304, hard: 8_388_608 },
        ];
      },
    );
    const lines = (await container.output()).replaceAll(/ +/g, " ");
    expect(lines).toContain("Max open files 512 768 files");
    expect(lines).toContain("Max core file size 0 4096 bytes");
    expect(lines).toContain("Max processes 100 200 processes");
    expect(lines).toContain("Max stack size 4194304 8388608 bytes");
  },
);

spec(
  "run, RLIM_INFINITY as 18446744073709551615: unlimited",
  `${CLAUSE}; 64-bit integers stay exact`,
  async (sandbox) => {
    const container = sandbox.shell("grep 'Max cpu time' /proc/1/limits");
    const text = JSON.stringify({
      ...container.config,
      process: { ...container.config.process, rlimits: [{ type: "RLIMIT_CPU", hard: 7, soft: 8 }] },
    });
    container.writeConfig(
      text.replace('"hard":7,"soft":8', '"hard":18446744073709551615,"soft":18446744073709551615'),
    );
    expect(await container.output()).toMatch(/unlimited +unlimited/);
  },
);

spec(
  "run, a small RLIMIT_AS: set after the rest of the set-up",
  "runtime-tools: rlimits and seccomp go last",
  async (sandbox) => {
    const container = sandbox.shell("grep 'Max address space' /proc/1/limits", (config) => {
      config.process.rlimits = [{ type: "RLIMIT_AS", soft: 33_554_432, hard: 33_554_432 }];
    });
    expect(await container.output()).toMatch(/33554432 +33554432/);
  },
);

/** Each type with its line in /proc/PID/limits, and values that are below the usual hard limits. */
const TYPES: readonly (readonly [type: string, line: string, soft: number, hard: number])[] = [
  ["RLIMIT_AS", "Max address space", 2 ** 33, 2 ** 34],
  ["RLIMIT_CORE", "Max core file size", 0, 0],
  ["RLIMIT_CPU", "Max cpu time", 1000, 2000],
  ["RLIMIT_DATA", "Max data size", 2 ** 31, 2 ** 32],
  ["RLIMIT_FSIZE", "Max file size", 2 ** 31, 2 ** 32],
  ["RLIMIT_LOCKS", "Max file locks", 100, 200],
  ["RLIMIT_MEMLOCK", "Max locked memory", 16384, 32768],
  ["RLIMIT_MSGQUEUE", "Max msgqueue size", 4096, 8192],
  ["RLIMIT_NICE", "Max nice priority", 0, 0],
  ["RLIMIT_NOFILE", "Max open files", 100, 200],
  ["RLIMIT_NPROC", "Max processes", 300, 400],
  ["RLIMIT_RSS", "Max resident set", 2 ** 31, 2 ** 32],
  ["RLIMIT_RTPRIO", "Max realtime priority", 0, 0],
  ["RLIMIT_RTTIME", "Max realtime timeout", 10 ** 6, 10 ** 7],
  ["RLIMIT_SIGPENDING", "Max pending signals", 100, 200],
  ["RLIMIT_STACK", "Max stack size", 2 ** 21, 2 ** 22],
];

spec("run, rlimits of all 16 types at once: as listed", `${CLAUSE}: MUST match`, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["cat", "/proc/self/limits"];
    config.process.rlimits = TYPES.map(([type, , soft, hard]) => ({ type, soft, hard }));
    config.process.user = { uid: 1000, gid: 1000 };
  });
  const lines = (await container.output()).split("\n").map((line) => line.replaceAll(/ +/g, " "));
  for (const [type, line, soft, hard] of TYPES) {
    expect(
      lines.find((candidate) => candidate.startsWith(line)),
      type,
    ).toMatch(new RegExp(`^${line} ${soft} ${hard} `));
  }
});

spec(
  "exec, rlimits of all 16 types at once: as listed for the container",
  `${CLAUSE}: MUST match`,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.rlimits = TYPES.map(([type, , soft, hard]) => ({ type, soft, hard }));
    });
    const { stdout } = await container.exec(["cat", "/proc/self/limits"]);
    const lines = stdout.split("\n").map((line) => line.replaceAll(/ +/g, " "));
    for (const [type, line, soft, hard] of TYPES)
      expect(
        lines.some((candidate) => candidate.startsWith(`${line} ${soft} ${hard} `)),
        type,
      ).toBe(true);
  },
  { crun: RLIMITS_UNCHECKED },
);

spec(
  "exec without rlimits: the caller's values, not those of the runtime's engine",
  "promise: engines raise NOFILE",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      delete config.process.rlimits;
    });
    const wrapper = ["bash", "-c", 'ulimit -Sn 999; ulimit -Hn 5000; exec "$@"', "bash"];
    const { stdout } = await container.exec(["sh", "-c", "ulimit -Sn; ulimit -Hn"], { wrapper });
    expect(stdout).toBe("999\n5000\n");
  },
);

const deviations = byCase(
  {
    crun: "leaves the cgroup when create fails after making it",
    cases: ["unknown type", "the same type twice", "soft above hard"],
  },
  { crun: RLIMITS_UNCHECKED, cases: ["a type without its prefix"] },
);

for (const [situation, rlimits] of [
  ["unknown type", [{ type: "RLIMIT_NOSUCH", soft: 1, hard: 1 }]],
  ["a type without its prefix", [{ type: "NOFILE", soft: 1, hard: 1 }]],
  [
    "the same type twice",
    [
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      { type: "RLIMIT_CORE", soft: 1, hard: 1 },
    ],
  ],
  ["soft above hard", [{ type: "RLIMIT_CORE", soft: 2, hard: 1 }]],
] as const) {
  spec(
    `create, rlimits with ${situation}: error`,
    `${CLAUSE}: MUST error`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.rlimits = [...rlimits];
      });
      expectRefusal(await container.create(), inOurWords("/process/rlimits/"));
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(situation),
  );
}

spec(
  "run without rlimits: the caller's values, not those of the runtime's engine",
  "promise: engines raise NOFILE",
  async (sandbox) => {
    const container = sandbox.shell("ulimit -Sn; ulimit -Hn", (config) => {
      delete config.process.rlimits;
    });
    const wrapper = ["bash", "-c", 'ulimit -Sn 999; ulimit -Hn 5000; exec "$@"', "bash"];
    expect(await container.output({ wrapper })).toBe("999\n5000\n");
  },
);

spec("run, noNewPrivileges true: set", "config.md, process.noNewPrivileges", async (sandbox) => {
  expect(await sandbox.shell("grep NoNewPrivs /proc/self/status").output()).toBe("NoNewPrivs:\t1\n");
});

spec("run, noNewPrivileges false: not set", "config.md, process.noNewPrivileges", async (sandbox) => {
  const container = sandbox.shell("grep NoNewPrivs /proc/self/status", (config) => {
    config.process.noNewPrivileges = false;
  });
  expect(await container.output()).toBe("NoNewPrivs:\t0\n");
});

spec("run, oomScoreAdj: set", "config.md, process.oomScoreAdj", async (sandbox) => {
  const container = sandbox.shell("cat /proc/self/oom_score_adj", (config) => {
    config.process.oomScoreAdj = 321;
  });
  expect(await container.output()).toBe("321\n");
});

spec(
  "run without oomScoreAdj: the caller's stays",
  "config.md, process.oomScoreAdj: MUST NOT change",
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/self/oom_score_adj");
    const wrapper = ["sh", "-c", 'echo 77 > /proc/self/oom_score_adj; exec "$@"', "sh"];
    expect(await container.output({ wrapper })).toBe("77\n");
  },
);

spec(
  "run, ignored and blocked signals of the caller: default in the container",
  "engines: conmon ignores SIGPIPE, the shim SIGHUP",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"];
    });
    const wrapper = ["sh", "-c", 'trap "" PIPE HUP XFSZ; exec "$@"', "sh"];
    expect(await container.output({ wrapper })).toBe(
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
    );
  },
);

spec(
  "run from a pinned caller: the container may use every CPU",
  "promise: the caller's affinity does not reach the container",
  async (sandbox, context) => {
    const cpus = readFileSync("/sys/devices/system/cpu/online", "utf8").trim();
    if (cpus === "0") context.skip("this machine has one CPU");
    const container = sandbox.shell("grep Cpus_allowed_list /proc/self/status");
    expect(await container.output({ wrapper: ["taskset", "-c", "0"] })).toBe(`Cpus_allowed_list:\t${cpus}\n`);
  },
  {
    crun: { reason: "affinity of a pinned caller is kept; newer releases reset it", before: "1.28" },
    runc: { reason: "affinity of a pinned caller is kept; newer releases reset it", before: "1.3" },
  },
);

spec("run: own session, own process group", "process is the leader of its session", async (sandbox) => {
  // pid, comm, state, ppid, pgrp, session
  const container = sandbox.container((config) => {
    config.process.args = ["cat", "/proc/self/stat"];
  });
  expect(await container.output()).toMatch(/^1 \(cat\) R 0 1 1 /);
});
