import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { skipWithout, spec } from "../harness/spec.ts";
import { isFinished, readTrace, straceWrapper, type TracedCall } from "../harness/strace.ts";

/** A process of exec is in sight of the container from its clone on. What it must not have there, another one has given up before. */

const CLAUSE = "promise: what enters a container is in its final state before it enters";

/** Calls by which a process leaves something of the host behind. */
const LEAVING = ["chroot", "keyctl", "setns"];

function withoutMountNamespace({ root, linux }: Config): void {
  linux.namespaces = linux.namespaces.filter(({ type }) => type !== "mount");
  linux.maskedPaths = [];
  linux.readonlyPaths = [];
  root.readonly = false;
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
      `exec into ${situation}: the process has the container's namespaces, root directory and keyring from its clone on, and no descriptor of another`,
      CLAUSE,
      async (sandbox, context) => {
        skipWithout(context, "strace");
        const container = await running(sandbox, mutate);
        const prefix = sandbox.path("trace");
        const wrapper = straceWrapper(prefix);
        expect((await container.exec(["true"], { wrapper })).code).toBe(0);
        await expect.poll(() => isFinished(prefix)).toBe(true);
        const traces = [...readTrace(prefix).values()];
        const stub = traces.find((calls) =>
          calls.some(({ call, args }) => call === "clone3" && /CLONE_PARENT/.test(args.join())),
        );
        const clone = traces.find(
          (calls) =>
            calls.some(({ call, args }) => call === "execve" && /true/.test(args.join())) &&
            calls.some(({ call }) => call === "setsid"),
        );
        const before =
          stub?.slice(
            0,
            stub.findIndex(({ call }) => call === "clone3"),
          ) ?? [];
        expect(leaving(before)).toEqual(expected);
        expect(leaving(clone ?? [])).toEqual([]);
        // The cgroup, which clone3(2) takes by a descriptor, and the other end of the stub's channel.
        const closed =
          clone?.slice(
            0,
            clone.findIndex(({ call }) => call === "setsid"),
          ) ?? [];
        expect(closed.map(({ call }) => call)).toEqual(["close", "close"]);
      },
    );
}
