import { execFileSync } from "node:child_process";
import type { Config } from "../config.ts";
import type { Container } from "../container.ts";
import { running as runningIn } from "../exec.ts";
import { IS_RUNTS, type Result } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";
import { spec } from "../spec.ts";

/** Devices that a container gets while it runs. */

export const CLAUSE =
  "practice: docker's --device, for a container that runs; promise: node and rule, or neither";

/** runc and crun have no such command. */
export function live(title: string, body: (sandbox: Sandbox) => Promise<void>): void {
  if (IS_RUNTS) spec(title, CLAUSE, body);
}

/** The numbers of /dev/fuse, which no default rule allows. Without that driver, an open that is allowed fails with ENXIO. */
export const NUMBERS = { type: "c", major: 10, minor: 229 } as const;

/** A node on the host, with these numbers unless others are given. */
export function hostNode(sandbox: Sandbox, name = "node", numbers = "c 10 229", mode = 0o666): string {
  const path = sandbox.path(name);
  execFileSync("mknod", ["-m", mode.toString(8), path, ...numbers.split(" ")]);
  return path;
}

export function devices(
  sandbox: Sandbox,
  action: string,
  { id }: Container,
  ...rest: string[]
): Promise<Result> {
  return sandbox.invoke(["devices", action, id, ...rest]);
}

export async function list(sandbox: Sandbox, { id }: Container): Promise<Record<string, unknown>[]> {
  const { stdout } = await sandbox.invoke(["devices", "list", "--format", "json", id]);
  return JSON.parse(stdout);
}

export async function added(sandbox: Sandbox, container: Container): Promise<Record<string, unknown>[]> {
  return (await list(sandbox, container)).filter(({ origin }) => origin === "added");
}

/** A running container with a writable rootfs that may make nodes. */
export function running(
  sandbox: Sandbox,
  mutate: (config: Config) => void = () => undefined,
): Promise<Container> {
  return runningIn(sandbox, (config) => {
    config.root.readonly = false;
    const names = ["CAP_MKNOD", "CAP_SYS_ADMIN"];
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
    mutate(config);
  });
}

export async function output(container: Container, script: string): Promise<string> {
  const { stdout, stderr } = await container.exec(["sh", "-c", script]);
  return (stdout + stderr).trim();
}

/** What a process of the container may do with a node: "" for nothing, else some of "rw". */
export async function access(container: Container, path: string): Promise<string> {
  const reads = `dd if=${path} of=/dev/null bs=1 count=0 2>&1`;
  const writes = `dd if=/dev/null of=${path} bs=1 count=0 conv=notrunc 2>&1`;
  const script = `${reads} | grep -q 'not permitted' || printf r; ${writes} | grep -q 'not permitted' || printf w`;
  return output(container, script);
}

/** What an own node with the same numbers can be used for: the rule alone. */
export async function ruleOf(container: Container): Promise<string> {
  await output(container, "rm -f /own; mknod /own c 10 229");
  return access(container, "/own");
}

export const NOTHING = { rule: "", node: false, added: [] };

/** Whether anything of an added device is in the container: its rule, its node, its entry. */
export async function traces(sandbox: Sandbox, container: Container, path: string): Promise<unknown> {
  const node = (await output(container, `ls -d ${path}`)) === path;
  return { rule: await ruleOf(container), node, added: await added(sandbox, container) };
}
