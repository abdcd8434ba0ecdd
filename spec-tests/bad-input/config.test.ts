import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { asObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const JSON_C = {
  reason: "json-c, which reads JSON since 1.28, accepts text after the value, and invalid UTF-8",
  from: "1.28",
};
const GO_JSON = "Go's encoding/json accepts text after the value, two equal names, and invalid UTF-8";
const WRONG_TYPES_PASS = "takes values of a wrong type as absent, or converts them";
const LOOSE_NUMBERS = "reads numbers by a scanner that stops at the first wrong character";

const CLAUSE = "config.md: invalid values MUST error; runtime.md, Errors: as if never tried";

/** Sets one property of config.json by its path, or with undefined removes it. */
function put(container: Container, path: string, value: unknown): void {
  const config = asObject(JSON.parse(JSON.stringify(container.config)));
  const names = path.split("/");
  let target = config;
  for (const name of names.slice(0, -1)) {
    const inner = asObject(target[name]);
    target[name] = inner;
    target = inner;
  }
  target[names.at(-1) ?? ""] = value;
  container.writeConfig(JSON.stringify(config));
}

const bundles: readonly (readonly [situation: string, words: string, (container: Container) => void])[] = [
  [
    "no config.json",
    "config.json: no such file or directory",
    ({ bundle }) => rmSync(join(bundle, "config.json")),
  ],
  [
    "an empty config.json",
    "config.json: line 1, column 1: not valid JSON",
    (container) => container.writeConfig(""),
  ],
  [
    "config.json that is not JSON",
    "config.json: line 1, column 1: not valid JSON",
    (container) => container.writeConfig("ociVersion: 1.0.0\n"),
  ],
  [
    "a truncated config.json",
    "config.json: line 1, column 501: not valid JSON",
    (container) => container.writeConfig(JSON.stringify(container.config).slice(0, 500)),
  ],
  [
    "config.json with text after its end",
    "expected the end of the file",
    (container) => container.writeConfig(`${JSON.stringify(container.config)} x`),
  ],
  [
    "config.json that is an array",
    "config.json: line 1: must be an object",
    (container) => container.writeConfig("[]"),
  ],
  [
    "config.json that is null",
    "config.json: line 1: must be an object",
    (container) => container.writeConfig("null"),
  ],
  [
    "a folder as config.json",
    "config.json: not a regular file",
    ({ bundle }) => {
      rmSync(join(bundle, "config.json"));
      mkdirSync(join(bundle, "config.json"));
    },
  ],
  ["no rootfs", "/root/path: ", ({ rootfs }) => rmSync(rootfs, { recursive: true })],
  [
    "a file as rootfs",
    "/root/path: ",
    ({ rootfs }) => {
      rmSync(rootfs, { recursive: true });
      writeFileSync(rootfs, "");
    },
  ],
];

const fileDeviations = byCase({
  crun: JSON_C,
  runc: GO_JSON,
  cases: ["config.json with text after its end"],
});

for (const [situation, words, spoil] of bundles) {
  spec(
    `create, bundle with ${situation}: single-line error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container();
      spoil(container);
      const result = await container.create();
      expectRefusal(result, inOurWords(words));
      if (IS_RUNTS) expect(result.stderr).toMatch(/^runts: [^\n]+\n$/);
      expect(result.stdout).toBe("");
      expect(await sandbox.traces()).toEqual([]);
    },
    fileDeviations(situation),
  );
}

const values: readonly (readonly [string, unknown])[] = [
  ["ociVersion", undefined],
  ["ociVersion", "2.0.0"],
  ["ociVersion", "0.9.0"],
  ["ociVersion", "one"],
  ["ociVersion", 1],
  ["root", undefined],
  ["root", "rootfs"],
  ["root/path", undefined],
  ["root/path", ""],
  ["root/readonly", "yes"],
  ["hostname", 1],
  ["mounts", {}],
  ["mounts", [{}]],
  ["mounts", [{ destination: 1 }]],
  ["process/args", "true"],
  ["process/args", []],
  ["process/args", [""]],
  ["process/args", [1]],
  ["process/cwd", undefined],
  ["process/env", { A: "1" }],
  ["process/user/uid", -1],
  ["process/user/uid", "0"],
  ["process/user/uid", 1.5],
  ["process/user/uid", 4294967296],
  ["process/terminal", "no"],
  ["process/noNewPrivileges", 1],
  ["process/oomScoreAdj", 1001],
  ["process/oomScoreAdj", "100"],
  ["process/capabilities", ["CAP_KILL"]],
  ["process/capabilities/bounding", "CAP_KILL"],
  ["process/rlimits", [{ type: "RLIMIT_CORE" }]],
  ["hooks", []],
  ["hooks", { prestart: [{}] }],
  ["annotations", ["a"]],
  ["annotations", { a: 1 }],
  ["linux/namespaces", "pid"],
  ["linux/namespaces", [{}]],
  ["linux/maskedPaths", "/proc"],
  ["linux/rootfsPropagation", "sideways"],
  ["linux/sysctl", { "net.ipv4.ip_forward": 1 }],
  ["linux/resources", []],
  ["linux/cgroupsPath", 1],
  ["linux/uidMappings", [{ containerID: 0, hostID: 0, size: -1 }]],
];

const typeDeviations = byCase(
  { runc: "ociVersion is never checked", cases: ["ociVersion missing"] },
  {
    crun: "requires ociVersion, but does not check it since 1.14.2",
    runc: "ociVersion is never checked",
    cases: ['ociVersion "2.0.0"', 'ociVersion "0.9.0"', 'ociVersion "one"'],
  },
  {
    crun: WRONG_TYPES_PASS,
    cases: [
      'root/readonly "yes"',
      "hostname 1",
      'process/args "true"',
      'process/user/uid "0"',
      'process/terminal "no"',
      "process/noNewPrivileges 1",
      'process/oomScoreAdj "100"',
      'process/capabilities ["CAP_KILL"]',
      'process/capabilities/bounding "CAP_KILL"',
      "hooks []",
      'annotations ["a"]',
      'linux/maskedPaths "/proc"',
      "linux/resources []",
      "linux/cgroupsPath 1",
    ],
  },
  {
    crun: "leaves the cgroup when create fails after making it",
    cases: ["process/oomScoreAdj 1001"],
  },
  {
    crun: WRONG_TYPES_PASS,
    runc: "a missing number is zero to Go",
    cases: ['process/rlimits [{"type":"RLIMIT_CORE"}]'],
  },
  {
    crun: "sets the container up in the caller's mount namespace, where the mounts stay",
    cases: ['linux/namespaces "pid"'],
  },
  { crun: "ignores an unknown propagation", cases: ['linux/rootfsPropagation "sideways"'] },
);

for (const [path, value] of values) {
  const situation = value === undefined ? "missing" : JSON.stringify(value);
  spec(
    `create, ${path} ${situation}: single-line error that names it, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container();
      put(container, path, value);
      const result = await container.create();
      expectRefusal(result, inOurWords(`/${path}`));
      if (IS_RUNTS) expect(result.stderr).toMatch(/^runts: [^\n]+\n$/);
      expect(await sandbox.traces()).toEqual([]);
    },
    typeDeviations(`${path} ${situation}`),
  );
}

const NUL = "a\u0000b";
const nul: readonly (readonly [string, unknown])[] = [
  ["process/args", ["true", NUL]],
  ["process/env", [`A=${NUL}`]],
  ["process/cwd", `/${NUL}`],
  ["root/path", `rootfs/${NUL}`],
  ["hostname", NUL],
  ["mounts", [{ destination: `/${NUL}`, type: "tmpfs", source: "tmpfs" }]],
  ["mounts", [{ destination: "/mnt", type: "bind", source: `/${NUL}`, options: ["bind"] }]],
  ["linux/cgroupsPath", `/${NUL}`],
  ["linux/maskedPaths", [`/${NUL}`]],
  ["linux/readonlyPaths", [`/${NUL}`]],
];

const nulByteDeviations = byCase(
  {
    crun: "strings end at their NUL byte",
    runc: "args fail at start, not at create, and the hostname goes to the kernel with its NUL byte",
    cases: ["0", "4"],
  },
  { crun: "strings end at their NUL byte", cases: ["2", "5", "7", "8", "9"] },
);

for (const [index, [path, value]] of nul.entries()) {
  spec(
    `create, ${path} with a NUL byte (${index}): single-line error, nothing left`,
    `${CLAUSE}`,
    async (sandbox) => {
      const container = sandbox.container();
      put(container, path, value);
      expectRefusal(await container.create(), inOurWords(`/${path}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    nulByteDeviations(index),
  );
}

spec(
  "create, a duplicate name in config.json: error",
  "glossary.md: no duplicate names",
  async (sandbox) => {
    const container = sandbox.container();
    container.writeConfig(JSON.stringify(container.config).replace("{", '{"hostname":"first",'));
    expectRefusal(await container.create(), inOurWords("/hostname: duplicate name"));
  },
  { crun: "takes the first of two equal names", runc: GO_JSON },
);

spec(
  "create, config.json not UTF-8: error",
  "glossary.md: UTF-8",
  async (sandbox) => {
    const container = sandbox.container();
    const bytes = Buffer.from(JSON.stringify(container.config).replace('"box"', '"b~x"'));
    bytes[bytes.indexOf("~")] = 0xff;
    writeFileSync(join(container.bundle, "config.json"), bytes);
    expectRefusal(await container.create(), inOurWords("config.json: not valid UTF-8"));
  },
  { crun: JSON_C, runc: GO_JSON },
);

spec("create, config.json with 100,000 nested arrays: error, no crash", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  container.writeConfig(`{"annotations":${"[".repeat(100_000)}`);
  expectRefusal(await container.create(), inOurWords("config.json: line 1, column 527: not valid JSON"));
});

spec(
  "create, two errors in config.json: both are reported",
  "promise: all errors of a config are reported at once",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("a promise only of runts");
    const container = sandbox.container();
    put(container, "hostname", 1);
    const text = JSON.stringify({ ...container.config, hostname: 1, mounts: {} }, null, 2);
    container.writeConfig(text);
    const { code, stderr } = await container.create();
    expect(code).toBe(1);
    expect(stderr).toMatch(/\/hostname/);
    expect(stderr).toMatch(/\/mounts/);
    const line = text.split("\n").findIndex((candidate) => candidate.includes('"hostname"')) + 1;
    expect(stderr).toContain(String(line));
  },
);

spec(
  "run, unknown properties: ignored",
  "config.md, Extensibility: MUST ignore unknown properties",
  async (sandbox) => {
    const container = sandbox.shell("echo ran");
    const { config } = container;
    container.writeConfig(
      JSON.stringify({
        ...config,
        unknownTop: { deep: [1] },
        process: { ...config.process, unknownInProcess: true },
        linux: { ...config.linux, unknownInLinux: null },
        windows: { layerFolders: [] },
        solaris: { milestone: "svc:/milestone/container:default" },
        vm: { kernel: { path: "/no/such/kernel" } },
        zos: { namespaces: [] },
        freebsd: { devices: [] },
      }),
    );
    expect(await container.output()).toBe("ran\n");
  },
);

for (const version of ["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.99.0"]) {
  spec(
    `run, ociVersion ${version}: accepted`,
    "spec.md: SemVer 2.0, minor versions are compatible",
    async (sandbox) => {
      const container = sandbox.shell("echo ran", (config) => {
        config.ociVersion = version;
      });
      expect(await container.output()).toBe("ran\n");
    },
  );
}

/** As doubles, 2^53 and 2^53+1 are equal. */
const EXACT = "9007199254740993";
const BELOW = "9007199254740992";

spec("run, seccomp value above 2^53: compared exactly", "config-linux.md: uint64", async (sandbox) => {
  const script = `truncate -s ${BELOW} /dev/shm/a && echo a; truncate -s ${EXACT} /dev/shm/b 2>&1 || echo denied`;
  const container = sandbox.shell(script, (config) => {
    const args = [{ index: 1, value: 1234567, op: "SCMP_CMP_EQ" }];
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["ftruncate"], action: "SCMP_ACT_ERRNO", errnoRet: 38, args }],
    };
  });
  container.writeConfig(JSON.stringify(container.config).replace("1234567", EXACT));
  const output = await container.output();
  expect(output).toMatch(/^a\n/);
  expect(output).toMatch(/denied\n$/);
});

const rlimitDeviations = byCase(
  { crun: LOOSE_NUMBERS, cases: ["2^64", "-1", "a string"] },
  {
    crun: { reason: "reads numbers by a scanner that stops at the first wrong character", before: "1.28" },
    cases: ["a fraction"],
  },
  { crun: LOOSE_NUMBERS, runc: "Go accepts no exponent in an integer", cases: ["an exponent"] },
);

for (const [number, situation] of [
  ["18446744073709551616", "2^64"],
  ["-1", "-1"],
  ["1.5", "a fraction"],
  ["1e2", "an exponent"],
  ['"1"', "a string"],
] as const) {
  const isAllowed = situation === "an exponent";
  spec(
    `create, an rlimit of ${situation}: ${isAllowed ? "accepted" : "error that names it"}`,
    "config.md, process.rlimits: uint64",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.rlimits = [{ type: "RLIMIT_CPU", soft: 1, hard: 1234567 }];
      });
      container.writeConfig(JSON.stringify(container.config).replace("1234567", number));
      const result = await container.create();
      if (isAllowed) expect(result).toMatchObject({ code: 0 });
      else expectRefusal(result, /hard/);
    },
    rlimitDeviations(situation),
  );
}
