import { expect } from "vitest";
import { spec } from "../harness/spec.ts";

/** Runs a command in a directory that no longer exists. */
const IN_REMOVED_DIRECTORY = ["sh", "-c", 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"', "sh"];

spec(
  "create, start, exec, kill, delete in a working directory that was removed: each succeeds, and exec starts in the container's /",
  "engines: containerd's shim is in one when the sandbox of its pod is deleted before the other containers",
  async (sandbox) => {
    sandbox.wrapper = IN_REMOVED_DIRECTORY;
    const container = sandbox.shell("sleep 1000");
    expect(await container.create()).toMatchObject({ code: 0, stderr: "" });
    expect(await container.start()).toMatchObject({ code: 0, stderr: "" });
    expect(await container.exec(["pwd"])).toMatchObject({ code: 0, stdout: "/\n" });
    expect(await container.kill("KILL")).toMatchObject({ code: 0, stderr: "" });
    await container.until("stopped");
    expect(await container.delete()).toMatchObject({ code: 0, stderr: "" });
  },
);
