import { spawn } from "node:child_process";
import { readlinkSync } from "node:fs";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import { spec } from "../harness/spec.ts";

spec(
  "create, namespace mount with a path: joined",
  "config-linux.md, Namespaces: path MUST be joined",
  async (sandbox) => {
    const child = spawn("unshare", ["--mount", "sh", "-c", "echo ready; exec sleep 1000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    sandbox.atEnd(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const path = `/proc/${String(child.pid)}/ns/mnt`;
    const container = sandbox.shell("sleep 1000", (config) =>
      setNamespace(config, "mount", { type: "mount", path }),
    );
    await container.created();
    const { pid } = await container.state();
    expect(readlinkSync(`/proc/${pid}/ns/mnt`)).toBe(readlinkSync(path));
  },
);
