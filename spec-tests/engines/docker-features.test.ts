import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { configEditor } from "../harness/engines/config-editor.ts";
import { type Docker, dockerTests, IMAGE, RUNTIME_ROOT } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";
import { RUNTIME } from "../harness/runtime.ts";
import { compareVersions } from "../harness/runtime-version.ts";

const check = dockerTests({
  runtimes: { "time-namespace": configEditor('s/"namespaces":\\[/&{"type":"time"},/') },
});

const HOST_TIME = readlinkSync("/proc/self/ns/time");

/** The time namespace of a container, of a command in it, and of the container after a restart. */
async function timeNamespaces(docker: Docker, ...flags: readonly string[]): Promise<string[]> {
  const started = await docker.call("run", "--detach", "--name", "it", ...flags, IMAGE, "sleep", "1000");
  expect(started.code, started.stderr).toBe(0);
  const ofInit = async () => (await docker.call("exec", "it", "readlink", "/proc/1/ns/time")).stdout.trim();
  const ofExec = (await docker.call("exec", "it", "readlink", "/proc/self/ns/time")).stdout.trim();
  const first = await ofInit();
  await docker.call("restart", "--time", "0", "it");
  const namespaces = [first, ofExec, await ofInit()];
  await docker.call("rm", "--force", "it");
  return namespaces;
}

check("info: shows the features that the runtime tells", async (docker) => {
  const { stdout } = await docker.call("info", "--format", "{{json .Runtimes}}");
  const { status } = JSON.parse(stdout).tested;
  const shown = JSON.parse(status["org.opencontainers.runtime-spec.features"]);
  const told = JSON.parse((await docker.beside(RUNTIME, "features")).stdout);
  expect(shown).toMatchObject({
    ociVersionMax: told.ociVersionMax,
    mountOptions: told.mountOptions,
    linux: { namespaces: told.linux.namespaces, seccomp: { actions: told.linux.seccomp.actions } },
  });
  // dockerd leaves out what its version of the specification doesn't know.
  expect(told).toMatchObject(shown);
});

check("run --annotation: the runtime has it with the container", async (docker) => {
  const flags = ["--annotation", "org.example.first=one", "--annotation", "org.example.second=a, b"];
  const { stdout } = await docker.call("run", "--detach", "--name", "it", ...flags, IMAGE, "sleep", "1000");
  const root = join(docker.directory, RUNTIME_ROOT);
  const state = await docker.beside(RUNTIME, "--root", root, "state", stdout.trim());
  expect(JSON.parse(state.stdout).annotations).toMatchObject({
    "org.example.first": "one",
    "org.example.second": "a, b",
  });
  await docker.call("rm", "--force", "it");
});

check("run, exec, restart before docker 29.5: the host's time namespace", async (docker, context) => {
  const version = (await docker.call("version", "--format", "{{.Server.Version}}")).stdout.trim();
  if (compareVersions(/^[\d.]+/.exec(version)?.[0] ?? "", "29.5") >= 0)
    return context.skip(`docker ${version} makes a time namespace for each container`);
  expect(await timeNamespaces(docker)).toEqual([HOST_TIME, HOST_TIME, HOST_TIME]);
});

check(
  "run, exec, restart with a time namespace in config.json, as docker 29.5 writes: one for the container, with the host's clocks",
  async (docker) => {
    const [first = "", ofExec, restarted] = await timeNamespaces(docker, "--runtime", "time-namespace");
    expect(first).toMatch(/^time:\[\d+\]$/);
    expect(first).not.toBe(HOST_TIME);
    expect(ofExec).toBe(first);
    expect(restarted).not.toBe(HOST_TIME);
    const script = "cat /proc/self/timens_offsets";
    const { stdout } = await docker.call(
      "run",
      "--rm",
      "--runtime",
      "time-namespace",
      IMAGE,
      "sh",
      "-c",
      script,
    );
    expect(lines(stdout).map((line) => line.trim().split(/\s+/))).toEqual([
      ["monotonic", "0", "0"],
      ["boottime", "0", "0"],
    ]);
  },
  { runc: { reason: "time namespaces came with runc 1.2", before: "1.2" } },
);
