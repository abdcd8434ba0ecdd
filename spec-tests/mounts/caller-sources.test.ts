import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Mount } from "../harness/config.ts";
import { rootlessShell } from "../harness/host/user.ts";
import { giveToMappedRoot, mapIds, mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** Sources of bind mounts that only the caller's capabilities reach, in a container with a user namespace. */

const CLAUSE = "practice: sources are opened with the caller's rights";

/** The home of another user, with a folder and a file, and a link to the folder from outside. */
function home(sandbox: Sandbox): string {
  const folder = sandbox.path("home");
  mkdirSync(`${folder}/data`, { recursive: true });
  writeFileSync(`${folder}/data/file`, "data\n");
  mkdirSync(sandbox.path("links"));
  symlinkSync(`${folder}/data`, sandbox.path("links/data"));
  chownSync(folder, 1000, 1000);
  chmodSync(folder, 0o700);
  return folder;
}

function bind(source: string, destination = "/mnt", ...options: readonly string[]): Mount {
  return { destination, type: "bind", source, options: ["rbind", ...options] };
}

function withMounts(...mounts: readonly Mount[]): (config: Config) => void {
  return (config) => {
    config.root.readonly = false;
    config.mounts.push(...mounts);
  };
}

for (const [situation, path, script] of [
  ["a folder", "home/data", "cat /shown/file"],
  ["a file", "home/data/file", "cat /shown"],
  ["a folder that a link leads to", "links/data", "cat /shown/file"],
] as const) {
  spec(
    `user namespace, bind of ${situation} in another user's folder of mode 0700: mounted`,
    CLAUSE,
    async (sandbox) => {
      home(sandbox);
      const container = mappedShell(sandbox, script, withMounts(bind(sandbox.path(path), "/shown")));
      expect(await container.output()).toBe("data\n");
    },
  );
}

spec(
  "user namespace, bind of another user's folder of mode 0700 itself: mounted, with its mode unchanged",
  CLAUSE,
  async (sandbox) => {
    const container = mappedShell(sandbox, "stat -c %a /mnt; ls /mnt", withMounts(bind(home(sandbox))));
    const { stdout, stderr } = await container.run();
    expect(stdout).toBe("700\n");
    expect(stderr).toMatch(/Permission denied/);
  },
);

spec(
  "user namespace, 260 binds in another user's folder of mode 0700: all of them mounted",
  CLAUSE,
  async (sandbox) => {
    const data = `${home(sandbox)}/data`;
    const mounts = Array.from({ length: 260 }, (_, index) => bind(data, `/mnt/${index}`));
    const container = mappedShell(sandbox, "cat /mnt/*/file | wc -l", withMounts(...mounts));
    expect((await container.output()).trim()).toBe("260");
  },
);

spec(
  "user namespace, bind of a read-only mount in another user's folder of mode 0700: its flags are locked",
  "mount_namespaces(7)",
  async (sandbox) => {
    const data = `${home(sandbox)}/data`;
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=777", "tmpfs", data]);
    sandbox.atEnd(() => void execFileSync("umount", [data]));
    execFileSync("mount", ["-o", "remount,bind,ro,nosuid,nodev,noexec", data]);
    const script = "mount -o remount,bind,rw,nosuid,nodev,noexec /mnt; echo > /mnt/written; ls /mnt";
    const container = mappedShell(sandbox, script, (config) => {
      withMounts(bind(data))(config);
      const capabilities = ["CAP_SYS_ADMIN"];
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
    });
    const { stdout, stderr } = await container.run();
    expect(stdout).toBe("");
    expect(stderr).toMatch(/Read-only file system/);
  },
  {
    crun: "copies the source outside of the user namespace, where no flag is locked, and loses its flags",
  },
);

spec(
  "user namespace, rootfs in another user's folder of mode 0700: error that names it, nothing left",
  "practice: the root file system has to be in reach of the container's root",
  async (sandbox) => {
    const container = sandbox.container(mapIds);
    giveToMappedRoot(container);
    chownSync(container.bundle, 1000, 1000);
    chmodSync(container.bundle, 0o700);
    expectRefusal(await container.create(), inOurWords("/root/path: open the root file system"));
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "rootless create, bind in another user's folder of mode 0700: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const data = `${home(sandbox)}/data`;
    const container = rootlessShell(sandbox, "true", withMounts(bind(data)));
    expectRefusal(await container.create(), inOurWords("/source: bind"));
    expect(await sandbox.traces()).toEqual([]);
  },
);

if (IS_RUNTS) {
  spec("mounts add, user namespace, another user's folder of mode 0700: mounted", CLAUSE, async (sandbox) => {
    const data = `${home(sandbox)}/data`;
    const container = mappedShell(sandbox, "exec sleep 1000", withMounts());
    await container.started();
    writeFileSync(sandbox.path("mounts.json"), JSON.stringify([bind(data)]));
    const added = await sandbox.invoke(["mounts", "add", container.id, sandbox.path("mounts.json")]);
    expect(added).toMatchObject({ code: 0, stderr: "" });
    expect((await container.exec(["cat", "/mnt/file"])).stdout).toBe("data\n");
  });
}
