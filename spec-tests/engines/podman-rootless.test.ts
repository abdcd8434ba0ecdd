import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, openPodman, podmanTests, run } from "../harness/engines/podman.ts";
import { SUBIDS, USER, userWrapper } from "../harness/host/user.ts";
import { RUNTIME } from "../harness/runtime.ts";

/** A supplementary group of the user. */
const GROUP = 4242;

const everyday = podmanTests("podman of a user", () =>
  openPodman({
    user: USER,
    wrapper: (directory) => userWrapper({ path: (name) => join(directory, name) }, { groups: [GROUP] }),
  }),
);

everyday("info: shows rootless and the runtime under test", async (engine) => {
  const { stdout } = await engine.call(
    "info",
    "--format",
    "{{.Host.Security.Rootless}} {{.Host.OCIRuntime.Path}}",
  );
  expect(stdout.trim()).toBe(`true ${RUNTIME}`);
});

everyday("run: output, exit code and mappings", async (engine) => {
  expect(await run(engine, IMAGE, "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
  expect((await run(engine, IMAGE, "sh", "-c", "exit 42")).code).toBe(42);
  const { stdout } = await run(engine, IMAGE, "cat", "/proc/self/uid_map");
  expect(stdout.trim().split(/\s+/)).toEqual(["0", String(USER), "1", "1", String(SUBIDS), "65536"]);
});

everyday("run, command not found: 127 and the reason", async (engine) => {
  const result = await run(engine, IMAGE, "no-such-command");
  expect(result.code).toBe(127);
  expect(result.stderr).toMatch(/not found|no such file/i);
});

everyday("run --user, --volume, --read-only, --tmpfs: applied", async (engine) => {
  const folder = join(engine.directory, "home", "volume");
  mkdirSync(folder, { mode: 0o777 });
  writeFileSync(join(folder, "in"), "from the host\n");
  const flags = ["--user", "alice", "-v", `${folder}:/data:ro`, "--read-only", "--tmpfs", "/scratch"];
  const script = "id -u; id -g; cat /data/in; touch /x 2>/dev/null || echo ro; touch /scratch/x && echo tmp";
  const { stdout, stderr } = await run(engine, ...flags, IMAGE, "sh", "-c", script);
  expect({ stdout, stderr }).toEqual({ stdout: "1000\n1000\nfrom the host\nro\ntmp\n", stderr: "" });
});

everyday(
  "run --group-add keep-groups: can read a file of the user's group",
  async (engine) => {
    const shared = join(engine.directory, "home", "shared");
    writeFileSync(shared, "seen\n");
    chmodSync(shared, 0o640);
    chownSync(shared, 0, GROUP);
    const flags = ["--user", "alice", "-v", `${shared}:/shared:ro`];
    const look = (...more: string[]) => run(engine, ...flags, ...more, IMAGE, "cat", "/shared");
    expect(await look("--group-add", "keep-groups")).toEqual({ code: 0, stdout: "seen\n", stderr: "" });
    expect((await look()).code).toBe(1);
  },
  { runc: "does not know crun's annotation" },
);

everyday("run --tty: a terminal as stdio", async (engine) => {
  const { code, stdout } = await run(engine, "--tty", IMAGE, "tty");
  expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: "/dev/pts/0" });
});

everyday("run with the default seccomp profile: a filter is on", async (engine) => {
  expect((await run(engine, IMAGE, "grep", "^Seccomp:", "/proc/self/status")).stdout).toBe("Seccomp:\t2\n");
});

everyday("run --userns keep-id: has the caller's own id", async (engine) => {
  const { stdout, stderr } = await run(engine, "--userns", "keep-id", IMAGE, "id", "-u");
  expect({ stdout, stderr }).toEqual({ stdout: `${USER}\n`, stderr: "" });
});

everyday("run --detach, exec, kill, rm: a whole life cycle", async (engine) => {
  const script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
  const started = await engine.call("run", "--detach", "--name", "life", IMAGE, "sh", "-c", script);
  expect(started).toMatchObject({ code: 0, stderr: "" });
  await expect.poll(async () => (await engine.call("logs", "life")).stdout).toBe("up\n");
  expect(await engine.call("exec", "life", "id", "-u")).toMatchObject({ code: 0, stdout: "0\n" });
  expect((await engine.call("exec", "--user", "alice", "life", "sh", "-c", "id -u; exit 7")).code).toBe(7);
  expect(await engine.call("kill", "--signal", "TERM", "life")).toMatchObject({ code: 0 });
  expect((await engine.call("wait", "life")).stdout).toBe("3\n");
  expect((await engine.call("rm", "life")).code).toBe(0);
});

everyday("rm --force, running container: removed", async (engine) => {
  await engine.call("run", "--detach", "--name", "busy", IMAGE, "sleep", "1000");
  const pid = (await engine.call("inspect", "--format", "{{.State.Pid}}", "busy")).stdout.trim();
  expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
  expect((await engine.call("rm", "--force", "--time", "0", "busy")).code).toBe(0);
});
