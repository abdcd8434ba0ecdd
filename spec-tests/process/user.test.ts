import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { spec } from "../harness/spec.ts";

const CALLERS_UMASK = "exec keeps the caller's umask where none is given";

const CLAUSE = "config.md, process.user";
const IDS = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr '\\t' ' '";

spec("run, uid and gid: set as real, effective, saved and file system ids", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(IDS, (config) => {
    config.process.user = { uid: 1000, gid: 2000 };
  });
  expect(await container.output()).toMatch(
    /^Uid: 1000 1000 1000 1000\nGid: 2000 2000 2000 2000\nGroups: *(2000 )?\n$/,
  );
});

spec("run, additionalGids: the supplementary groups, none of the caller's", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(IDS, (config) => {
    config.process.user = { uid: 1000, gid: 2000, additionalGids: [3000, 4000] };
  });
  expect(await container.output()).toMatch(/\nGroups: (2000 )?3000 4000 *\n$/);
});

spec("run without additionalGids: no group of the caller is left", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(IDS);
  const wrapper = ["setpriv", "--groups", "4444,5555", "--"];
  expect(await container.output({ wrapper })).toMatch(/\nGroups: *0? *\n$/);
});

const annotationDeviations = byCase({ runc: "knows no annotation of crun", cases: ["1", "true"] });

for (const [value, groups] of [
  ["1", "4444 5555"],
  ["true", "4444 5555"],
  ["0", "7"],
] as const) {
  spec(
    `run as root, run.oci.keep_original_groups ${value}: the groups are ${groups}`,
    "practice: crun, for podman run --group-add keep-groups",
    async (sandbox) => {
      const container = sandbox.shell("grep ^Groups: /proc/self/status", (config) => {
        config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
        config.annotations = { "run.oci.keep_original_groups": value };
      });
      const wrapper = ["setpriv", "--groups", "4444,5555", "--"];
      expect((await container.output({ wrapper })).trim()).toBe(`Groups:\t${groups}`);
    },
    annotationDeviations(value),
  );
}

spec("run, uid without an entry in /etc/passwd: allowed", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("id -u; id -g", (config) => {
    config.process.user = { uid: 2_147_483_000, gid: 54_321 };
  });
  expect(await container.output()).toBe("2147483000\n54321\n");
});

spec("run, umask: set", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("umask", (config) => {
    config.process.user.umask = 0o27;
  });
  expect(await container.output()).toBe("0027\n");
});

/** Runs the runtime with a umask, such as buildkitd's, which is 0. */
function withUmask(umask: string): string[] {
  return ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
}

for (const umask of ["0000", "0077"]) {
  spec(
    `run without umask, a caller with ${umask}: 0022`,
    "practice of runc and crun, against config.md, process.user: buildkitd has 0",
    async (sandbox) => {
      const container = sandbox.shell("umask");
      expect(await container.output({ wrapper: withUmask(umask) })).toBe("0022\n");
    },
  );
}

spec("run, umask 0: overrides the caller's", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("umask", (config) => {
    config.process.user.umask = 0;
  });
  expect(await container.output({ wrapper: withUmask("0077") })).toBe("0000\n");
});

spec("run, startContainer hook without umask: 0022, as for the process", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("cat /tmp/hook", (config) => {
    config.root.readonly = false;
    config.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "umask > /tmp/hook"] }] };
  });
  expect(await container.output({ wrapper: withUmask("0") })).toBe("0022\n");
});

const umaskDeviations = byCase({
  runc: "files that it makes in the rootfs get the caller's umask",
  cases: ["077"],
});

for (const umask of ["0", "077"]) {
  spec(
    `create under a umask of ${umask}: mount points and the working directory are readable by all and writable only by root`,
    "practice of runc and crun, whatever the umask",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.root.readonly = false;
        config.process.args = ["true"];
        config.process.cwd = "/cwd/of";
        config.mounts.push(
          { destination: "/new/folder", type: "tmpfs", source: "tmpfs", options: ["mode=0711"] },
          { destination: "/new/file", type: "bind", source: "/dev/null", options: ["bind"] },
        );
      });
      await container.output({ wrapper: withUmask(umask) });
      const mode = (name: string) => statSync(join(container.rootfs, name)).mode & 0o777;
      expect(["new", "new/folder", "cwd", "cwd/of"].map(mode)).toEqual([0o755, 0o755, 0o755, 0o755]);
      expect(mode("new/file") & 0o022).toBe(0);
    },
    umaskDeviations(umask),
  );
}

spec(
  "create under a strict umask: files that the runtime makes have their usual modes",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(
      "stat -c '%a %n' /dev/null /dev/tty /dev/shm /dev /newdir; cat /newdir/f",
      (config) => {
        config.process.user = { uid: 1000, gid: 1000 };
        config.root.readonly = false;
        config.mounts.push({
          destination: "/newdir",
          type: "tmpfs",
          source: "tmpfs",
          options: ["mode=0755"],
        });
        config.mounts.push({
          destination: "/newdir/f",
          type: "bind",
          source: "/dev/null",
          options: ["bind"],
        });
      },
    );
    const wrapper = ["sh", "-c", 'umask 0077; exec "$@"', "sh"];
    expect(await container.output({ wrapper })).toBe(
      "666 /dev/null\n666 /dev/tty\n1777 /dev/shm\n755 /dev\n755 /newdir\n",
    );
  },
);

spec(
  "run as another user: the program can open its own stdio again",
  "practice: stdio is chowned to the user",
  async (sandbox) => {
    const container = sandbox.shell("echo through-proc > /proc/self/fd/1", (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    // The path of the output file leads through folders of root, but /proc/self/fd needs only the file's own mode.
    chmodSync(sandbox.directory, 0o711);
    expect(await container.output()).toBe("through-proc\n");
  },
);

spec(
  "run, username: ignored, since it is for Windows",
  `${CLAUSE}: username is for Windows only`,
  async (sandbox) => {
    const container = sandbox.shell("id -u", (config) => {
      Object.assign(config.process.user, { username: "alice" });
    });
    expect(await container.output()).toBe("0\n");
  },
);

spec(
  "exec: umask of the container's process",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.user.umask = 0o27;
    });
    expect((await container.exec(["sh", "-c", "umask"])).stdout).toBe("0027\n");
  },
  { runc: { reason: "exec keeps the caller's umask, whatever the config says", before: "1.2" } },
);

for (const umask of ["0000", "0077"]) {
  spec(
    `exec without umask, a caller with ${umask}: 0022`,
    "practice of crun, against config.md, process.user: a caller with 0 would make a container's files writable for all",
    async (sandbox) => {
      const container = await running(sandbox);
      const wrapper = withUmask(umask);
      expect((await container.exec(["sh", "-c", "umask"], { wrapper })).stdout).toBe("0022\n");
    },
    { runc: CALLERS_UMASK },
  );
}

spec(
  "exec --process without umask, a caller with 0000: 0022",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const file = sandbox.path("process.json");
    const process = { args: ["sh", "-c", "umask"], cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
    writeFileSync(file, JSON.stringify(process));
    const result = await container.exec([], { flags: ["--process", file], wrapper: withUmask("0") });
    expect(result.stdout).toBe("0022\n");
  },
  { runc: CALLERS_UMASK },
);

/** Lists the standard streams that are the null device of the container's /dev. */
const STREAMS = 'for fd in 0 1 2; do [ /proc/self/fd/$fd -ef /dev/null ] && echo "$fd" >> /tmp/own; done';

spec(
  "run with /dev/null as standard streams: they are the container's own",
  "practice of runc and crun: no device of the host stays open",
  async (sandbox) => {
    const container = sandbox.shell(STREAMS, (config) => {
      config.root.readonly = false;
    });
    await container.run({ stdin: "/dev/null", wrapper: ["sh", "-c", 'exec "$@" > /dev/null 2>&1', "sh"] });
    expect(container.readFile("tmp/own")).toBe("0\n1\n2\n");
  },
  { runc: "streams that are the host's null device are reopened only if the container has none" },
);

spec(
  "run as another user with /dev/null as standard streams: the host's /dev/null keeps its owner",
  "practice of runc and crun",
  async (sandbox) => {
    const before = statSync("/dev/null");
    const container = sandbox.shell("true", (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    await container.run({ stdin: "/dev/null", wrapper: ["sh", "-c", 'exec "$@" > /dev/null 2>&1', "sh"] });
    expect(statSync("/dev/null").uid).toBe(before.uid);
  },
);

/** The owner of a file can make it writable, even through a descriptor for reading. */
const MAKE_WRITABLE = "chmod 666 /proc/self/fd/0 && echo changed >> /proc/self/fd/0";

for (const command of ["run", "exec"] as const) {
  spec(
    `${command} as another user, a file of the host as standard input: it keeps its owner, and can't be changed`,
    "the caller gave it for reading",
    async (sandbox) => {
      const input = sandbox.path("input");
      writeFileSync(input, "for root alone\n", { mode: 0o600 });
      const script = `cat; ${MAKE_WRITABLE}`;
      const user = { uid: 1000, gid: 1000 };
      if (command === "run") {
        const container = sandbox.shell(script, (config) => {
          config.process.user = user;
        });
        expect((await container.run({ stdin: input })).stdout).toBe("for root alone\n");
      } else {
        const container = await running(sandbox);
        const options = { flags: ["--user", "1000:1000"], stdin: input };
        expect((await container.exec(["sh", "-c", script], options)).stdout).toBe("for root alone\n");
      }
      const { uid, mode } = statSync(input);
      expect([uid, mode & 0o777, readFileSync(input, "utf8")]).toEqual([0, 0o600, "for root alone\n"]);
    },
    {
      crun: "standard streams become the user's, whatever they are; runc in the foreground puts pipes between its caller and the program",
    },
  );
}

spec(
  "run as another user, a device of the host as a standard stream: it keeps its owner",
  "it is not the container's alone",
  async (sandbox) => {
    const device = sandbox.path("zero");
    execFileSync("mknod", ["-m", "666", device, "c", "1", "5"]);
    const container = sandbox.shell("true", (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    const wrapper = ["sh", "-c", `exec "$@" 2<> ${device}`, "sh"];
    expect((await container.run({ stdin: device, wrapper })).code).toBe(0);
    expect(statSync(device).uid).toBe(0);
  },
  { crun: { reason: "a standard stream becomes the user's, a device of the host's too", before: "1.28" } },
);
