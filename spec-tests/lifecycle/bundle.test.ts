import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE =
  "runtime.md, State: the absolute path to the bundle; practice of runc and crun: symlinks are resolved";

/** Creates the container by a symlink to its bundle, and returns the link. */
async function createByLink(sandbox: Sandbox, container: Container): Promise<string> {
  const link = sandbox.path("link");
  symlinkSync(container.bundle, link);
  succeed("create", await sandbox.invoke(["create", "--bundle", link, container.id]));
  return link;
}

spec("create with a symlink as bundle: state and hooks get its target", CLAUSE, async (sandbox) => {
  const told = sandbox.path("told");
  const container = sandbox.container((config) => {
    const hook = { path: "/bin/sh", args: ["sh", "-c", `cat > ${told}`] };
    config.hooks = { createRuntime: [hook] };
  });
  await createByLink(sandbox, container);
  expect((await container.state()).bundle).toBe(container.bundle);
  expect(JSON.parse(readFileSync(told, "utf8"))).toMatchObject({ bundle: container.bundle });
});

spec(
  "create with a symlink as bundle, retargeted afterwards: delete keeps to the first target",
  CLAUSE,
  async (sandbox) => {
    const place = sandbox.path("place");
    const container = sandbox.container((config) => {
      const hook = { path: "/bin/sh", args: ["sh", "-c", `cat > ${place}`] };
      config.hooks = { poststop: [hook] };
    });
    const link = await createByLink(sandbox, container);
    rmSync(link);
    mkdirSync(sandbox.path("elsewhere"));
    symlinkSync(sandbox.path("elsewhere"), link);
    expect((await container.state()).bundle).toBe(container.bundle);
    succeed("delete", await container.delete("--force"));
    expect(JSON.parse(readFileSync(place, "utf8"))).toMatchObject({ bundle: container.bundle });
  },
);

spec("create with a relative bundle: resolved from the current directory", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  const cwd = dirname(container.bundle);
  const given = `./${basename(container.bundle)}/`;
  succeed("create", await sandbox.invoke(["create", "--bundle", given, container.id], { cwd }));
  expect((await container.state()).bundle).toBe(container.bundle);
});

spec(
  "create with a symlink as bundle, a relative bind source: resolved from the link's target",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /tmp/beside", (config) => {
      config.mounts.push({
        destination: "/tmp/beside",
        type: "bind",
        source: "../beside",
        options: ["bind"],
      });
    });
    writeFileSync(`${dirname(container.bundle)}/beside`, "beside the bundle\n");
    container.writeFile("tmp/beside", "");
    mkdirSync(sandbox.path("folder"));
    const link = `${sandbox.path("folder")}/link`;
    symlinkSync(container.bundle, link);
    const result = succeed("run", await sandbox.invoke(["run", "--bundle", link, container.id]));
    expect(result.stdout).toBe("beside the bundle\n");
  },
);

spec("create with a missing bundle: error that names the path as given", "promise", async (sandbox) => {
  const missing = sandbox.path("missing");
  const result = await sandbox.invoke(["create", "--bundle", missing, sandbox.container().id]);
  expectRefusal(result, inOurWords(`${missing}/config.json`));
});

spec(
  "create with a symlink to a folder without config.json as bundle: error that names link and target",
  "promise",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("a promise only of runts");
    const container = sandbox.container();
    mkdirSync(sandbox.path("empty"));
    symlinkSync(sandbox.path("empty"), sandbox.path("link"));
    const result = await sandbox.invoke(["create", "--bundle", sandbox.path("link"), container.id]);
    expectRefusal(result, `${sandbox.path("empty")}/config.json: no such file or directory`);
    expect(result.stderr).toContain(sandbox.path("link"));
  },
);
