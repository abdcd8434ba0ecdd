import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { succeed } from "../harness/container.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "profile: HTML";
const PEERS = { both: "has no such command" } as const;
const FORMAT = ["--profile-format", "html"];

/** A variable whose name is markup, and a secret that a hook's argument repeats. */
function configure(config: Config): void {
  config.process.env = ["PATH=/bin", "</script><b>=1", "KEY=env-s3cret"];
  config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "true", "env-s3cret"] }] };
}

spec(
  "create, start, run and exec --profile-format html: a page with a timeline, the operations and the config, its secrets masked",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 100", configure);
    const profile = (name: string) => ["--profile", sandbox.path(name), ...FORMAT];
    await container.created({ flags: profile("create") });
    succeed("start", await sandbox.invoke(["start", ...profile("start"), container.id]));
    succeed("exec", await container.exec(["true"], { flags: profile("exec") }));
    const short = sandbox.shell("true", configure);
    succeed("run", await short.run({ flags: profile("run") }));
    for (const name of ["create", "start", "exec", "run"]) {
      const page = readFileSync(sandbox.path(name), "utf8");
      expect([name, /^<!doctype html>.*<\/html>\n$/s.test(page)]).toEqual([name, true]);
      const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id = ""]) => id);
      const links = [...page.matchAll(/ href="#([^"]*)"/g)].map(([, link = ""]) => link);
      expect([name, links.filter((link) => !ids.includes(link))]).toEqual([name, []]);
      expect(ids).toEqual(expect.arrayContaining(["timeline", "times", "operations", "config"]));
      expect([name, page.match(/<\/script>/g)?.length]).toEqual([name, 1]);
      expect([name, page.includes("env-s3cret")]).toEqual([name, false]);
      expect([name, page.includes("KEY=••••••")]).toEqual([name, true]);
    }
  },
  PEERS,
);

spec(
  "start --profile-format html of a container whose hook fails: the page has no message, as the config is gone with the container",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      const args = ["sh", "-c", "echo $KEY >&2; exit 3"];
      config.hooks = { startContainer: [{ path: "/bin/sh", args, env: ["KEY=hook-s3cret"] }] };
    });
    await container.created();
    const file = sandbox.path("page");
    const { code, stderr } = await sandbox.invoke(["start", "--profile", file, ...FORMAT, container.id]);
    expect(code).toBe(1);
    expect(stderr).toContain("hook-s3cret");
    const page = readFileSync(file, "utf8");
    expect(page.includes("nothing could be masked in the message")).toBe(true);
    expect(page.includes("hook-s3cret")).toBe(false);
  },
  PEERS,
);

spec(
  "create --profile-format html of a container that can't be made: the page has the error, without the config's secrets",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      config.process.env = ["PATH=/bin", "KEY=env-s3cret"];
      config.hooks = {
        createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo env-s3cret >&2; exit 3"] }],
      };
    });
    const file = sandbox.path("page");
    const { code, stderr } = await container.create({ flags: ["--profile", file, ...FORMAT] });
    expect(code).toBe(1);
    expect(stderr).toContain("env-s3cret");
    const page = readFileSync(file, "utf8");
    expect(page.includes('<span class="mark bad">failed</span>')).toBe(true);
    expect(page.includes("env-s3cret")).toBe(false);
  },
  PEERS,
);
