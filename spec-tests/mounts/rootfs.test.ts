import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const ROOT_PRIVATE_IN_CRUN = "makes the mount of the rootfs private, whatever the others become";
const ROOT_PRIVATE_IN_RUNC =
  "makes the mount of the rootfs private, whatever the others become; on its main branch a slave";
const ANY_PROPAGATION = "accepts private with --no-pivot, and unknown words";

spec(
  "root.readonly true: no writes to the rootfs",
  "config.md, root.readonly: MUST be read-only",
  async (sandbox) => {
    const result = await sandbox.shell("touch /tmp/x").run();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/Read-only file system/);
  },
);

spec(
  "root.readonly absent: writes reach the rootfs",
  "config.md, root.readonly: default false",
  async (sandbox) => {
    const container = sandbox.shell("echo written > /tmp/x", (config) => {
      delete config.root.readonly;
    });
    await container.output();
    expect(container.readFile("tmp/x")).toBe("written\n");
  },
);

spec(
  "run: no mount of the host's root is left in the mount table",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("cut -d' ' -f5 /proc/self/mountinfo; ls -a /");
    const output = await container.output();
    expect(output).not.toContain(sandbox.tag);
    expect(output).not.toMatch(/put_?old|pivot/);
  },
);

spec("chroot escape by cd ..: stays in the rootfs", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.shell(
    "cd /; cd ../../../..; [ /proc/1/root/bin/busybox -ef bin/busybox ] && pwd",
  );
  expect(await container.output()).toBe("/\n");
});

spec("create --no-pivot: works with the same rootfs", "practice of runc and crun", async (sandbox) => {
  expect(
    await sandbox
      .shell("cat /etc/group | head -n 1; touch /x 2>/dev/null || echo ro")
      .output({ flags: ["--no-pivot"] }),
  ).toBe("root:x:0:\nro\n");
});

const PROPAGATION = "config-linux.md, rootfsPropagation";

/**
 * The optional fields of the container's root mount: `shared`, `master`, `unbindable` or nothing. The host's mount that the rootfs lies on
 * is shared, since only then slave differs from private.
 */
async function rootPropagation(
  sandbox: Sandbox,
  propagation: string | undefined,
  sharedMount: "rootfs" | "bundle" = "rootfs",
): Promise<string[]> {
  const container = sandbox.shell("grep ' / / \\| /.*rootfs / ' /proc/self/mountinfo", (config) => {
    if (propagation !== undefined) config.linux.rootfsPropagation = propagation;
  });
  const mountPoint = container[sharedMount];
  execFileSync("mount", ["--bind", mountPoint, mountPoint]);
  sandbox.atEnd(() => void execFileSync("umount", [mountPoint]));
  execFileSync("mount", ["--make-shared", mountPoint]);
  const fields = (await container.output()).trim().split(" ");
  return fields.slice(6, fields.indexOf("-")).map((field) => field.replace(/:.*/, ""));
}

const deviations = byCase(
  { crun: ROOT_PRIVATE_IN_CRUN, runc: ROOT_PRIVATE_IN_RUNC, cases: ["slave", "rslave"] },
  {
    runc: {
      reason: "rootfsPropagation shared and unbindable have no effect on the root mount",
      before: "1.3.1",
    },
    cases: ["shared", "unbindable"],
  },
  {
    runc: { reason: "the propagation of the root mount itself came with 1.3.1", before: "1.3.1" },
    cases: ["rshared"],
  },
  {
    crun: "makes all mounts unbindable first, so that later binds fail",
    runc: "makes all mounts unbindable first, so that later binds, those of masks too, fail",
    cases: ["runbindable"],
  },
);

for (const [propagation, expected] of [
  ["private", []],
  ["rprivate", []],
  ["slave", ["master"]],
  ["rslave", ["master"]],
  ["shared", ["shared"]],
  ["rshared", ["shared"]],
  ["unbindable", ["unbindable"]],
  ["runbindable", ["unbindable"]],
] as const) {
  spec(
    `rootfsPropagation ${propagation}: the root mount has it`,
    PROPAGATION,
    async (sandbox) => {
      expect(await rootPropagation(sandbox, propagation)).toEqual(expected);
    },
    deviations(propagation),
  );
}

for (const propagation of ["slave", "rslave"]) {
  const title = `rootfsPropagation ${propagation}, a rootfs that is not a mount point: the root mount is a slave of the mount it lies on`;
  spec(
    title,
    PROPAGATION,
    async (sandbox) => {
      expect(await rootPropagation(sandbox, propagation, "bundle")).toEqual(["master"]);
    },
    { crun: ROOT_PRIVATE_IN_CRUN, runc: ROOT_PRIVATE_IN_RUNC },
  );
}

spec("rootfsPropagation absent: the root mount is private", "practice", async (sandbox) => {
  expect(await rootPropagation(sandbox, undefined)).toEqual([]);
});

spec(
  "rootfsPropagation unknown: error, nothing left",
  PROPAGATION,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.rootfsPropagation = "everywhere";
    });
    expectRefusal(await container.create(), IS_RUNTS ? /\/linux\/rootfsPropagation/ : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: ANY_PROPAGATION },
);

for (const propagation of ["private", "rprivate"]) {
  spec(
    `create --no-pivot with rootfsPropagation ${propagation}: error, nothing left`,
    "practice of runc",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.rootfsPropagation = propagation;
      });
      const result = await container.create({ flags: ["--no-pivot"] });
      expectRefusal(result, IS_RUNTS ? /\/linux\/rootfsPropagation.*no-pivot/ : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: ANY_PROPAGATION },
  );
}

spec("mounts of the container: not seen on the host", PROPAGATION, async (sandbox) => {
  const container = sandbox.shell("sleep 1000", (config) => {
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: sandbox.tag });
  });
  execFileSync("mount", ["--bind", container.rootfs, container.rootfs]);
  sandbox.atEnd(() => void execFileSync("umount", [container.rootfs]));
  execFileSync("mount", ["--make-shared", container.rootfs]);
  await container.created();
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(` tmpfs ${sandbox.tag} `);
});

spec("create: the caller's mount table is unchanged", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.container();
  const before = readFileSync("/proc/self/mountinfo", "utf8").split("\n").length;
  await container.created();
  expect(
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(sandbox.tag)),
  ).toEqual([]);
  expect(before).toBeGreaterThan(1);
});

spec(
  "maskedPaths: a file reads as empty, a folder is an empty read-only one",
  "config-linux.md, maskedPaths",
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /etc/passwd; ls -a /home; touch /home/x 2>/dev/null || echo not writable; stat -c %F /etc/passwd",
      (config) => {
        config.root.readonly = false;
        config.linux.maskedPaths = ["/etc/passwd", "/home", "/missing", "/missing/below"];
      },
    );
    expect(await container.output()).toBe(".\n..\nnot writable\ncharacter special file\n");
  },
);

spec(
  "maskedPaths inside a masked folder: no error",
  "runtime-tools: masked paths that vanish under an earlier mask",
  async (sandbox) => {
    const container = sandbox.shell("ls /home", (config) => {
      config.linux.maskedPaths = ["/home", "/home/alice"];
    });
    expect(await container.output()).toBe("");
  },
);

spec(
  "maskedPaths and readonlyPaths with a path that is listed twice: one mount each",
  "promise: no more mounts than needed",
  async (sandbox) => {
    const container = sandbox.shell("cut -d ' ' -f 5 /proc/self/mountinfo", (config) => {
      config.linux.maskedPaths = ["/home", "/etc/passwd", "/home", "/etc/passwd"];
      config.linux.readonlyPaths = ["/root", "/root"];
    });
    const points = (await container.output()).split("\n").filter((point) => /^\/(home|etc|root)/.test(point));
    expect(points.sort()).toEqual(["/etc/passwd", "/home", "/root"]);
  },
  { both: "mounts twice on a path that is listed twice" },
);

spec(
  "maskedPaths through a symlink: resolved inside the rootfs",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("cat /link; echo end", (config) => {
      config.linux.maskedPaths = ["/link"];
    });
    container.writeFile("etc/secret", "secret\n");
    symlinkSync("/etc/secret", join(container.rootfs, "link"));
    expect(await container.output()).toBe("end\n");
  },
);

spec(
  "maskedPaths with /dev/null a symlink in the rootfs: never followed",
  "CVE-2025-31133",
  async (sandbox) => {
    const container = sandbox.shell("cat /secret", (config) => {
      config.mounts = config.mounts.filter(({ destination }) => destination === "/proc");
      config.linux.maskedPaths = ["/secret"];
    });
    container.writeFile("secret", "secret\n");
    rmSync(join(container.rootfs, "dev"), { recursive: true });
    mkdirSync(join(container.rootfs, "dev"));
    symlinkSync("/etc/passwd", join(container.rootfs, "dev/null"));
    expect((await container.run()).stdout).not.toContain("root:");
  },
);

spec(
  "readonlyPaths: readable, not writable, missing ones skipped",
  "config-linux.md, readonlyPaths",
  async (sandbox) => {
    const container = sandbox.shell(
      "head -n 1 /etc/group; touch /home/x 2>/dev/null || echo ro-dir; echo x 2>/dev/null >> /etc/group || echo ro-file; touch /tmp/x && echo rw",
      (config) => {
        config.root.readonly = false;
        config.linux.readonlyPaths = ["/home", "/etc/group", "/missing"];
      },
    );
    expect(await container.output()).toBe("root:x:0:\nro-dir\nro-file\nrw\n");
  },
);

spec(
  "default readonlyPaths and maskedPaths: /proc/sys is read-only, /proc/keys is empty",
  "config-linux.md",
  async (sandbox) => {
    const container = sandbox.shell(
      "echo x 2>/dev/null > /proc/sys/kernel/hostname || echo ro; wc -c < /proc/keys; ls /sys/firmware",
      (config) => {
        config.process.capabilities = {
          bounding: ["CAP_SYS_ADMIN"],
          effective: ["CAP_SYS_ADMIN"],
          permitted: ["CAP_SYS_ADMIN"],
        };
      },
    );
    expect(await container.output()).toBe("ro\n0\n");
  },
);

spec("rootfs a mount point of its own: works", "engines: overlay mounts as rootfs", async (sandbox) => {
  const container = sandbox.shell("echo ran");
  execFileSync("mount", ["--bind", container.rootfs, container.rootfs]);
  sandbox.atEnd(() => void execFileSync("umount", [container.rootfs]));
  expect(await container.output()).toBe("ran\n");
});

spec(
  "run, root.path .: the bundle is the rootfs",
  "config.md, Root: relative to the bundle",
  async (sandbox) => {
    const container = sandbox.shell("cat /config.json > /dev/null && echo ran", (config) => {
      config.root.path = ".";
    });
    for (const name of readdirSync(container.rootfs)) {
      renameSync(`${container.rootfs}/${name}`, `${container.bundle}/${name}`);
    }
    expect(await container.output()).toBe("ran\n");
  },
);
