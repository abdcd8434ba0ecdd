import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { spec } from "../harness/spec.ts";

spec(
  "create --pid-file in a folder that others can write to, full of links: no file behind one is written to",
  "promise: paths of the image, here of anybody",
  async (sandbox) => {
    const folder = sandbox.path("shared");
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const victim = sandbox.path("victim");
    writeFileSync(victim, "untouched");
    const last = Number(readFileSync("/proc/sys/kernel/ns_last_pid", "utf8"));
    const pidFile = join(folder, "box.pid");
    for (let pid = last + 1; pid < last + 500; pid += 1) symlinkSync(victim, `${pidFile}.runts-${pid}`);
    const container = sandbox.container();
    await container.created({ flags: ["--pid-file", pidFile] });
    expect(readFileSync(victim, "utf8")).toBe("untouched");
    expect(Number(readFileSync(pidFile, "utf8"))).toBe((await container.state()).pid);
  },
);
