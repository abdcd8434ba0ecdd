import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const USER = 1000;

/** A program that puts a key into its session keyring. */
const ADD_KEY = `
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  const int SESSION_KEYRING = -3;
  return syscall(SYS_add_key, "user", "key", "secret", 6, SESSION_KEYRING) < 0;
}`;

/** Starts a user of the host who makes keyrings of these names. Returns a function that counts the keys in them. */
async function squatter(sandbox: Sandbox, names: readonly string[]): Promise<() => Promise<number>> {
  const script = join(import.meta.dirname, "../harness/helpers/keyring-squatter.py");
  const child = spawn("python3", [script, String(USER), ...names], { stdio: ["pipe", "pipe", "inherit"] });
  sandbox.atEnd(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("made");
  return async () => {
    child.stdin.write("\n");
    return Number((await lines.next()).value);
  };
}

spec(
  "run and exec, a user of the host has made keyrings by the container's name: no key gets into them",
  "keyctl(2), KEYCTL_JOIN_SESSION_KEYRING joins one of that name that may be searched",
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const container = sandbox.shell("/add-key && echo added; exec sleep 1000");
    const source = sandbox.path("add-key.c");
    writeFileSync(source, ADD_KEY);
    execFileSync("gcc", ["-static", "-O2", "-o", join(container.rootfs, "add-key"), source]);
    const { id } = container;
    const keys = await squatter(sandbox, [id, `_ses.${id}`]);
    await container.started();
    await expect.poll(() => container.printed()).toBe("added");
    expect((await container.exec(["/add-key"])).code).toBe(0);
    expect(await keys()).toBe(0);
  },
  { both: "the session keyring has a name that others may have used before" },
);
