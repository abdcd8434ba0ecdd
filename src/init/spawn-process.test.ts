import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PR_SET_DUMPABLE } from "../../bindings/abi/prctl.ts";
import { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import { tapStubs } from "../../bindings/stub/client.ts";
import type { Operation } from "../../bindings/stub/program.ts";
import type { SpawnOptions } from "./clone-by-stub.ts";
import { spawnProcess } from "./spawn-process.ts";

/** Above all pids that there are: PID_MAX_LIMIT of the kernel is 2^22. */
const NOBODY = 2 ** 30;

let operations: Operation[] = [];
let namespace = -1;

/** There is no stub: what it would be sent is kept. */
beforeEach(() => {
  operations = [];
  namespace = openSync("/proc/self/ns/user", "r");
  tapStubs({
    spawn: () => NOBODY,
    send: (_channel, program) => {
      operations.push(...program.operations);
      return undefined;
    },
    sentAs: (program) => program,
    receive: () => ({ results: [], outputs: [], failure: undefined }),
  });
});

afterEach(() => {
  tapStubs(undefined);
  closeSync(namespace);
});

function plan(privileged: boolean, options: Partial<SpawnOptions>): void {
  spawnProcess({
    cgroup: undefined,
    keepFds: 0,
    ignoredSignals: [],
    privileged,
    ...options,
  }).close();
}

function hides(operation: Operation | undefined): boolean {
  return operation?.call === "prctl" && operation.args[0] === PR_SET_DUMPABLE && operation.args[1] === 0;
}

/** The operations that have `flags` of setns(2), each with whether the process is hidden before and right behind it. */
function joining(flags: number): { readonly before: boolean; readonly behind: boolean }[] {
  return operations.flatMap(({ call, args }, index) =>
    call === "setns" && (Number(args[1]) & flags) !== 0
      ? [{ before: operations.slice(0, index).some(hides), behind: hides(operations[index + 1]) }]
      : [],
  );
}

const HIDDEN = [{ before: true, behind: true }];

test.each([true, false])("by a pidfd, privileged %s: hidden again behind a user namespace", (privileged) => {
  plan(privileged, { join: { pidfd: namespace, flags: CLONE_NEWUSER | CLONE_NEWNS } });
  expect(joining(CLONE_NEWUSER)).toEqual(HIDDEN);
});

test.each([true, false])(
  "by their paths, privileged %s: hidden again behind the user namespace",
  (privileged) => {
    const joined = new Map(
      (["mount", "user", "pid"] as const).map((type) => {
        const name = type === "mount" ? "mnt" : type;
        return [type, { path: `/proc/self/ns/${name}`, pointer: "/linux/namespaces/0" }];
      }),
    );
    plan(privileged, { namespaces: { created: new Set(), joined } });
    expect(joining(CLONE_NEWUSER)).toEqual(HIDDEN);
    for (const flag of [CLONE_NEWNS, CLONE_NEWPID]) expect(joining(flag)).toMatchObject([{ before: true }]);
  },
);

test("an unprivileged caller that writes the mappings itself: the process is never hidden", () => {
  const joined = new Map([["mount", { path: "/proc/self/ns/mnt", pointer: "/linux/namespaces/0" }]]);
  plan(false, { namespaces: { created: new Set(["user"]), joined } });
  expect(operations.filter(hides)).toEqual([]);
});
