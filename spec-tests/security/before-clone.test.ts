import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { isFinished, readTrace, straceWrapper, type TracedCall } from "../harness/explain/strace.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** The container can see a process of exec from its clone on. So the stub that clones it gives up everything of the host before. */

const CLAUSE = "promise: what enters a container is in its final state before it enters";

/** Calls by which a process gives up something of the host. */
const LEAVING = ["chroot", "keyctl", "setns"];

function withoutMountNamespace({ root, linux }: Config): void {
  linux.namespaces = linux.namespaces.filter(({ type }) => type !== "mount");
  linux.maskedPaths = [];
  linux.readonlyPaths = [];
  root.readonly = false;
}

/** The calls of exec's stub before the clone, and those of the clone. */
async function execTraced(
  sandbox: Sandbox,
  container: Container,
  flags: readonly string[] = [],
): Promise<{ readonly before: readonly TracedCall[]; readonly clone: readonly TracedCall[] }> {
  const prefix = sandbox.path("trace");
  const result = await container.exec(["true"], { flags, wrapper: straceWrapper(prefix) });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  await expect.poll(() => isFinished(prefix)).toBe(true);
  const traces = [...readTrace(prefix).values()];
  const stub = traces.find((calls) => calls.some(isClone)) ?? [];
  const clone = traces.find((calls) => calls.some(isSetsid) && calls.some(executesTrue)) ?? [];
  return { before: stub.slice(0, stub.findIndex(isClone)), clone };
}

function isClone({ call, args }: TracedCall): boolean {
  return call === "clone3" && args.join().includes("CLONE_PARENT");
}

function isSetsid({ call }: TracedCall): boolean {
  return call === "setsid";
}

function executesTrue({ call, args }: TracedCall): boolean {
  return call === "execve" && /true/.test(args.join());
}

function leaving(calls: readonly TracedCall[]): string[] {
  return calls.map(({ call }) => call).filter((call) => LEAVING.includes(call));
}

if (IS_RUNTS) {
  for (const [situation, mutate, expected] of [
    ["a container", () => undefined, ["setns", "keyctl", "keyctl"]],
    ["a container without a mount namespace", withoutMountNamespace, ["setns", "chroot", "keyctl", "keyctl"]],
  ] as const)
    spec(
      `exec into ${situation}: the process has the container's namespaces, root directory and keyring from its clone on, and first closes the two descriptors that it has from the stub`,
      CLAUSE,
      async (sandbox, context) => {
        skipWithout(context, "strace");
        const { before, clone } = await execTraced(sandbox, await running(sandbox, mutate));
        expect(leaving(before)).toEqual(expected);
        expect(leaving(clone)).toEqual([]);
        // The descriptors of the cgroup, which clone3(2) needs, and of the other end of the stub's channel.
        const first = clone.slice(0, clone.findIndex(isSetsid));
        expect(first.map(({ call }) => call)).toEqual(["close", "close"]);
      },
    );

  spec(
    "exec --tty: the caller's standard streams, which may be its own terminal, stay outside of the container",
    `${CLAUSE}; ioctl_tty(2), TIOCSTI`,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const container = await running(sandbox);
      const console = await openConsole(sandbox);
      const flags = ["--tty", "--detach", "--console-socket", console.socket];
      const { before } = await execTraced(sandbox, container, flags);
      const [first, ...others] = before.filter(({ call }) => call === "dup3").map(({ args }) => args);
      expect([first, ...others].map((args) => args?.[1])).toEqual(["0", "1", "2"]);
      expect(new Set([first, ...others].map((args) => args?.[0])).size).toBe(1);
    },
  );
}
