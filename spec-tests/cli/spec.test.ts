import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

spec("spec: writes a config.json that runs", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.container();
  mkdirSync(sandbox.path("fresh"));
  expect((await sandbox.invoke(["spec"], { cwd: sandbox.path("fresh") })).code).toBe(0);
  const config = parseObject(readFileSync(sandbox.path("fresh/config.json"), "utf8"));
  const process = { ...asObject(config.process), terminal: false, args: ["echo", "ran"] };
  container.writeConfig(JSON.stringify({ ...config, process }));
  expect(await container.output()).toBe("ran\n");
});

spec("spec --bundle: writes config.json to that folder", "practice of runc and crun", async (sandbox) => {
  mkdirSync(sandbox.path("fresh"));
  expect((await sandbox.invoke(["spec", "--bundle", sandbox.path("fresh")])).code).toBe(0);
  expect(parseObject(readFileSync(sandbox.path("fresh/config.json"), "utf8"))).toHaveProperty("ociVersion");
});

spec("spec, config.json exists: error, the file stays", "practice: refuses to overwrite", async (sandbox) => {
  mkdirSync(sandbox.path("fresh"));
  writeFileSync(sandbox.path("fresh/config.json"), "mine");
  expectRefusal(
    await sandbox.invoke(["spec"], { cwd: sandbox.path("fresh") }),
    inOurWords("File config.json exists"),
  );
  expect(readFileSync(sandbox.path("fresh/config.json"), "utf8")).toBe("mine");
});

spec(
  "spec --rootless: a user namespace with the caller's ids, no network namespace",
  "practice of runc and crun",
  async (sandbox) => {
    mkdirSync(sandbox.path("fresh"));
    expect((await sandbox.invoke(["spec", "--rootless", "--bundle", sandbox.path("fresh")])).code).toBe(0);
    const linux = asObject(parseObject(readFileSync(sandbox.path("fresh/config.json"), "utf8")).linux);
    const types = JSON.stringify(linux.namespaces);
    expect(types).toContain('"user"');
    expect(types).not.toContain('"network"');
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 0, size: 1 }]);
  },
  { crun: "the rootless template keeps the network namespace" },
);

spec("--version: the name and the spec's version", "practice of runc and crun", async (sandbox) => {
  const { code, stdout } = await sandbox.invoke(["--version"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\S+ version \S+/);
  expect(stdout).toMatch(/^spec: 1\.\d+\.\d+/m);
});

for (const [args, option] of [
  [["--help"], "--root"],
  [["create", "--help"], "--pid-file"],
  [["run", "--help"], "--detach"],
  [["delete", "--help"], "--force"],
] as const) {
  spec(`${args.join(" ")}: lists the options, exit 0`, "practice of runc and crun", async (sandbox) => {
    const { code, stdout, stderr } = await sandbox.invoke(args);
    expect(code).toBe(0);
    expect(stdout + stderr).toContain(option);
  });
}
