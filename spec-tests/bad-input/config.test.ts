import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { asObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md: invalid values MUST error; runtime.md, Errors: as if never tried";

/** Sets or, with undefined, takes away one property of config.json by its path. */
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

const bundles: readonly (readonly [string, (container: Container) => void])[] = [
  ["no config.json", ({ bundle }) => rmSync(join(bundle, "config.json"))],
  ["an empty config.json", (container) => container.writeConfig("")],
  ["config.json that is not JSON", (container) => container.writeConfig("ociVersion: 1.0.0\n")],
  [
    "config.json cut off",
    (container) => container.writeConfig(JSON.stringify(container.config).slice(0, 500)),
  ],
  [
    "config.json with text after its end",
    (container) => container.writeConfig(`${JSON.stringify(container.config)} x`),
  ],
  ["config.json that is an array", (container) => container.writeConfig("[]")],
  ["config.json that is null", (container) => container.writeConfig("null")],
  [
    "config.json a folder",
    ({ bundle }) => {
      rmSync(join(bundle, "config.json"));
      mkdirSync(join(bundle, "config.json"));
    },
  ],
  ["no rootfs", ({ rootfs }) => rmSync(rootfs, { recursive: true })],
  [
    "a file as rootfs",
    ({ rootfs }) => {
      rmSync(rootfs, { recursive: true });
      writeFileSync(rootfs, "");
    },
  ],
];

for (const [situation, spoil] of bundles) {
  spec(`create, bundle with ${situation}: one clear line, nothing left`, CLAUSE, async (sandbox) => {
    const container = sandbox.container();
    spoil(container);
    const result = await container.create();
    expectRefusal(result);
    if (IS_RUNTS) expect(result.stderr).toMatch(/^runts: [^\n]+\n$/);
    expect(result.stdout).toBe("");
    expect(await sandbox.traces()).toEqual([]);
  });
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

for (const [path, value] of values) {
  const situation = value === undefined ? "missing" : JSON.stringify(value);
  spec(
    `create, ${path} ${situation}: one clear line that names it, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container();
      put(container, path, value);
      const result = await container.create();
      expectRefusal(result);
      if (IS_RUNTS) {
        expect(result.stderr).toMatch(/^runts: [^\n]+\n$/);
        expect(result.stderr).toContain(path.split("/").at(-1));
      }
      expect(await sandbox.traces()).toEqual([]);
    },
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

for (const [index, [path, value]] of nul.entries()) {
  spec(
    `create, ${path} with a NUL byte (${index}): one clear line, nothing left`,
    `${CLAUSE}`,
    async (sandbox) => {
      const container = sandbox.container();
      put(container, path, value);
      expectRefusal(await container.create());
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "create, the same name twice in config.json: error",
  "glossary.md: no duplicate names",
  async (sandbox) => {
    const container = sandbox.container();
    container.writeConfig(JSON.stringify(container.config).replace("{", '{"hostname":"first",'));
    expectRefusal(await container.create());
  },
);

spec("create, config.json not UTF-8: error", "glossary.md: UTF-8", async (sandbox) => {
  const container = sandbox.container();
  const bytes = Buffer.from(JSON.stringify(container.config).replace('"box"', '"b~x"'));
  bytes[bytes.indexOf("~")] = 0xff;
  writeFileSync(join(container.bundle, "config.json"), bytes);
  expectRefusal(await container.create());
});

spec("create, nesting without end: error, no crash", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  container.writeConfig(`{"annotations":${"[".repeat(100_000)}`);
  expectRefusal(await container.create());
});

spec(
  "create, two faults: both are told",
  "promise: all errors of a config are reported at once",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("a promise of runts alone");
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
      }),
    );
    expect(await container.output()).toBe("ran\n");
  },
);
