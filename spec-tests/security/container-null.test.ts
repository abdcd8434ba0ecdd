import { chmodSync, chownSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const PIPES_BETWEEN = "in the foreground, puts pipes between its caller and the program";

/**
 * A process whose standard stream is the host's /dev/null gets the container's instead. The container's root may put any file there,
 * and must not reach through the runtime's rights a file that it may not open itself.
 */

const CLAUSE = "config.md, process.capabilities: the container's root has none";
const SECRET = "another user's\n";

/** Notes type and number of standard input and error, and writes to standard input. */
const LOOK = [
  "for fd in 0 2; do stat -Lc '%F %t:%T' /proc/self/fd/$fd; done >/tmp/streams",
  "echo overwritten >&0",
].join("; ");

/** A running container without capabilities, with a file that only another user may open, and a /dev/null that its root has replaced. */
async function withReplacedNull(sandbox: Sandbox, replace: string): Promise<Container> {
  const container = await running(sandbox, (config) => {
    config.root.readonly = false;
    config.process.capabilities = { bounding: [], effective: [], permitted: [] };
  });
  container.writeFile("secret", SECRET);
  chownSync(join(container.rootfs, "secret"), 1000, 1000);
  chmodSync(join(container.rootfs, "secret"), 0o600);
  const { code, stderr } = await container.exec(["sh", "-c", `rm /dev/null; ${replace}`]);
  expect([code, stderr]).toEqual([0, ""]);
  return container;
}

async function look(container: Container, ...flags: string[]): Promise<string> {
  // In every test, standard input is the host's /dev/null; here the other streams are, too.
  const wrapper = ["sh", "-c", 'exec "$@" <>/dev/null >&0 2>&0', "sh"];
  const { code } = await container.exec(["sh", "-c", LOOK], { flags, wrapper });
  expect(code).toBe(0);
  return container.readFile("tmp/streams");
}

const NULLS = "character special file 1:3\n".repeat(2);

for (const [situation, flags] of [
  ["without capabilities", []],
  ["with CAP_DAC_OVERRIDE", ["--cap", "CAP_DAC_OVERRIDE"]],
] as const)
  spec(
    `exec ${situation}, the container's /dev/null is a link to another user's file: the streams are a null device, the file is unchanged`,
    CLAUSE,
    async (sandbox) => {
      const container = await withReplacedNull(sandbox, "ln -s /secret /dev/null");
      expect(await look(container, ...flags)).toBe(NULLS);
      expect(container.readFile("secret")).toBe(SECRET);
    },
    { runc: PIPES_BETWEEN },
  );

spec(
  "exec, the container's /dev/null is a link to another device: the streams are a null device",
  CLAUSE,
  async (sandbox) => {
    const container = await withReplacedNull(sandbox, "ln -s /dev/zero /dev/null");
    expect(await look(container)).toBe(NULLS);
  },
  { runc: PIPES_BETWEEN },
);

spec(
  "exec as a user, an intact /dev/null in the container: the streams are the container's",
  "promise: a container can't change the host's /dev/null",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.root.readonly = false;
    });
    const devices = "stat -Lc %d /dev/null /proc/self/fd/0 | sort | uniq | wc -l";
    const { stdout } = await container.exec(["sh", "-c", devices], { flags: ["--user", "1000:1000"] });
    expect(stdout).toBe("1\n");
  },
  { crun: "the /dev/null of the caller stays the standard stream", runc: PIPES_BETWEEN },
);
