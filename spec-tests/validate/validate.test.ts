import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { elfFile, MACHINES } from "../harness/helpers/elf.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { findings, shown, validate } from "../harness/helpers/validate.ts";
import { userWrapper } from "../harness/host/user.ts";
import { spec } from "../harness/spec.ts";

spec(
  "validate with misspelt properties: says where they are, and what may be meant",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    const { process, linux, ...rest } = container.config;
    container.writeConfig(
      JSON.stringify(
        {
          ...rest,
          process: { ...process, noNewPriviliges: true },
          linux: { ...linux, maskedpaths: [], resources: { memory: { limits: 5 } } },
          windows: {},
          "org.example": 1,
        },
        undefined,
        1,
      ),
    );
    const found = await findings(sandbox, container);
    expect(found.map(({ rule, pointer, hint }) => [rule, pointer, hint])).toEqual([
      ["unknown-property", "/process/noNewPriviliges", 'did you mean "noNewPrivileges"?'],
      ["unknown-property", "/linux/resources/memory/limits", 'did you mean "limit"?'],
      ["unknown-property", "/linux/maskedpaths", 'did you mean "maskedPaths"?'],
      ["unknown-property", "/org.example", undefined],
    ]);
    expect((await validate(sandbox, container)).code).toBe(0);
    expect((await validate(sandbox, container, "--strict")).code).toBe(1);
  },
  { both: "has no such command" },
);

spec(
  "validate with violations of the specification: finds all, with lines and hints",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    container.writeConfig(`{
  "ociVersion": "1.2.0",
  "root": { "path": "rootfs" },
  "process": { "cwd": "relative", "args": ["true"], "rlimits": [{ "type": "RLIMIT_NOFILES", "soft": 1, "hard": 1 }] },
  "linux": {
    "namespaces": [{ "type": "mount" }, { "type": "mount" }],
    "seccomp": { "defaultAction": "SCMP_ACT_ALLOWED" }
  }
}`);
    const found = await findings(sandbox, container);
    expect(found.map(({ line, pointer, hint }) => [line, pointer, hint])).toEqual([
      [4, "/process/cwd", undefined],
      [4, "/process/rlimits/0/type", 'did you mean "RLIMIT_NOFILE"?'],
      [6, "/linux/namespaces/1/type", undefined],
      [7, "/linux/seccomp/defaultAction", 'did you mean "SCMP_ACT_ALLOW"?'],
    ]);
  },
  { both: "has no such command" },
);

spec(
  "validate with no config.json, or one that is not JSON: an error, and exit code 1",
  "validate",
  async (sandbox) => {
    const folder = sandbox.path("empty");
    mkdirSync(folder);
    const missing = await sandbox.invoke(["validate", "--bundle", folder]);
    expect([missing.code, missing.stdout]).toEqual([1, expect.stringContaining("no such file or directory")]);
    writeFileSync(join(folder, "config.json"), "{");
    const broken = await sandbox.invoke(["validate", "--bundle", folder]);
    expect([broken.code, broken.stdout]).toEqual([1, expect.stringContaining("error: ")]);
  },
  { both: "has no such command" },
);

for (const [name, text, findings] of [
  [
    "a comma too many",
    '{\n  "ociVersion": "1.2.0",\n}',
    ["line 3: not valid JSON at column 1: expected a name"],
  ],
  [
    "duplicate names",
    '{\n  "ociVersion": "1.2.0",\n  "root": { "path": "a",\n    "path": "b" },\n  "ociVersion": "1.2.0"\n}',
    [
      "line 4, /root/path: duplicate name, first on line 3",
      "line 5, /ociVersion: duplicate name, first on line 2",
    ],
  ],
] as const)
  spec(
    `validate with ${name}: says on which lines`,
    "validate",
    async (sandbox) => {
      const container = sandbox.container();
      container.writeConfig(text);
      const { code, stdout } = await validate(sandbox, container);
      expect(code).toBe(1);
      for (const finding of findings) expect(stdout).toContain(`error: ${finding}`);
    },
    { both: "has no such command" },
  );

spec(
  "validate with a missing rootfs: checks the rest all the same",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.root.path = "none";
      config.process.env = [...(config.process.env ?? []), "A=1", "A=2"];
      config.mounts.push(
        { destination: "/data/in", type: "tmpfs", source: "tmpfs" },
        { destination: "/data", type: "bind", source: "rootfs", options: ["bind"] },
      );
      config.linux.maskedPaths = ["/etc/none"];
    });
    expect((await findings(sandbox, container)).map(shown).sort()).toEqual([
      "error rootfs /root/path",
      "warning duplicate-env /process/env/2",
      "warning hidden-mount /mounts/7",
    ]);
  },
  { both: "has no such command" },
);

spec(
  "validate with a script whose interpreter is missing: names both, and the script can't run",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/script"];
    });
    container.writeFile("/script", "#!/usr/bin/nothing\n", 0o755);
    const [finding] = await findings(sandbox, container);
    expect(finding).toMatchObject({ rule: "program-not-executable", pointer: "/process/args/0" });
    expect(finding?.message).toContain("/usr/bin/nothing, the interpreter of /script");
    expect((await container.run()).code).not.toBe(0);
  },
  { both: "has no such command" },
);

spec(
  "validate with a program whose loader has a name in UTF-8: no finding",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/program"];
    });
    const machine = MACHINES[process.arch === "arm64" ? "arm64" : "x64"];
    mkdirSync(join(container.rootfs, "lib"), { recursive: true });
    container.writeFile("/lib/lädt.so", "", 0o755);
    container.writeFile("/program", elfFile({ machine, interpreter: "/lib/lädt.so" }), 0o755);
    expect(await findings(sandbox, container)).toEqual([]);
  },
  { both: "has no such command" },
);

spec(
  "validate with a program that PATH finds after one that is not executable: no finding, since it runs",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["tool"];
      config.process.env = ["PATH=/first:/second"];
    });
    for (const name of ["first", "second"]) mkdirSync(join(container.rootfs, name));
    container.writeFile("/first/tool", "#!/bin/sh\nexit 1\n", 0o644);
    container.writeFile("/second/tool", "#!/bin/sh\nexit 0\n", 0o755);
    expect(await findings(sandbox, container)).toEqual([]);
    expect((await container.run()).code).toBe(0);
  },
  { both: "has no such command" },
);

spec(
  "validate --host by a user without privileges: says what this user can't do",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    sandbox.wrapper = userWrapper(sandbox);
    const found = await findings(sandbox, container, "--host");
    expect(found.map(shown)).toContain("error not-root /linux/namespaces");
    expect((await validate(sandbox, container)).code).toBe(0);
  },
  { both: "has no such command" },
);

spec(
  "validate, config.json a fifo: an error, no hang",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    rmSync(join(container.bundle, "config.json"));
    execFileSync("mkfifo", [join(container.bundle, "config.json")]);
    const { code, stdout } = await validate(sandbox, container);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/not a regular file/)]);
  },
  { both: "has no such command" },
);

spec(
  "validate in the example's README: prints what the README shows",
  "examples/validate",
  (sandbox) =>
    checkReadme(sandbox, "validate", {
      // The mounts below /dev are this host's.
      stable: (text) => text.replace(/\/devices\/\S+( and \d+ more below)? stays? /, "/devices/pts stays "),
    }),
  { both: "has no such command" },
);
