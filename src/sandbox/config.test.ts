import { describe, expect, it } from "vitest";
import { parseConfig } from "../spec/config.ts";
import { inputText } from "../spec/config-input.ts";
import { sandboxConfig } from "./config.ts";
import type { SandboxOptions } from "./options.ts";
import { SURROUNDINGS, testHost } from "./sandbox.test-support.ts";

function planned(options: Partial<SandboxOptions> = {}, host = testHost()) {
  return sandboxConfig({ args: ["true"], ...options }, host, SURROUNDINGS);
}

function mountsOf(options: Partial<SandboxOptions> = {}, host = testHost()) {
  return (planned(options, host).config.mounts ?? []).map(
    ({ destination, source = "", options: words = [] }) => {
      const kind = words.includes("copy-symlink") ? "link" : words.includes("rro") ? "ro" : "rw";
      return destination === source ? `${kind} ${destination}` : `${kind} ${source} on ${destination}`;
    },
  );
}

describe("the config of a sandbox", () => {
  it("is valid, with everything asked for", () => {
    const everything = {
      ...{
        ro: ["file:/data/file"],
        rw: ["out"],
        tmpfs: ["/scratch"],
        env: ["A=b"],
        net: "host",
        hostname: "box",
      },
      ...{ memory: 1 << 20, cpus: 1.5, pids: 20, uid: 5, landlock: true },
    } as const;
    for (const options of [{}, everything]) {
      const { config } = planned(options);
      expect(() => parseConfig(inputText(config, "config"), "config")).not.toThrow();
    }
  });

  it("has no capabilities, no_new_privs and a filter, whatever the options are", () => {
    const { config } = planned({ net: "host", uid: 0 });
    const none: string[] = [];
    expect(config.process).toMatchObject({
      noNewPrivileges: true,
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
    });
    expect(config.linux?.seccomp?.syscalls?.length).toBeGreaterThan(3);
    expect(config.linux?.rootfsPropagation).toBe("rprivate");
  });

  it.each([
    ["a user", testHost(), undefined, [1000, 1000], [100, 100]],
    ["a user with --uid", testHost(), 0, [0, 1000], [0, 100]],
    ["root", testHost({ uid: 0, gid: 0 }), undefined, [0, 0], [0, 0]],
    ["root with --uid", testHost({ uid: 0, gid: 0 }), 7, [7, 7], [7, 7]],
  ])("maps a single id: %s", (_, host, uid, uids, gids) => {
    const { config } = planned(uid === undefined ? {} : { uid }, host);
    const line = ([containerID = 0, hostID = 0]: readonly number[]) => [{ containerID, hostID, size: 1 }];
    expect(config.linux).toMatchObject({ uidMappings: line(uids), gidMappings: line(gids) });
    expect(config.process?.user).toMatchObject({ uid: uids[0], gid: gids[0] });
  });

  it("has a network namespace unless the host's network is asked for", () => {
    const types = (options: Partial<SandboxOptions>) =>
      planned(options).config.linux?.namespaces?.map(({ type }) => type);
    expect(types({})).toContain("network");
    expect(types({ net: "none" })).toContain("network");
    expect(types({ net: "host" })).not.toContain("network");
  });

  it("limits memory and swap together, and names the options of limits and mounts", () => {
    const { config, optionAt, hasLimits } = planned({ memory: 4096, cpus: 0.5, pids: 3, ro: ["file:/data"] });
    expect(hasLimits).toBe(true);
    expect(config.linux?.resources).toEqual({
      memory: { limit: 4096, swap: 4096 },
      cpu: { quota: 50_000, period: 100_000 },
      // Three and init.
      pids: { limit: 4 },
    });
    expect(optionAt("/linux/resources/cpu/quota")).toBe("--cpus");
    expect(optionAt("/linux/resources")).toBe("--memory, --cpus, --pids");
    const index = config.mounts?.findIndex(({ destination }) => destination === "/data");
    expect(optionAt(`/mounts/${index}/source`)).toBe("--ro file:/data");
    expect(optionAt("/process/args/0")).toBeUndefined();
    expect(planned().hasLimits).toBe(false);
  });
});

describe("what a sandbox sees", () => {
  it("keeps links into /usr, follows others, and leaves out what is not listed", () => {
    const mounts = mountsOf({ net: "host" });
    expect(mounts).toEqual(
      expect.arrayContaining([
        ...[
          "ro /usr",
          "link /bin",
          "ro /lib",
          "ro /etc/passwd",
          "link /etc/localtime",
          "ro /etc/resolv.conf",
        ],
        ...["ro /etc/java-17-openjdk", "ro /work"],
      ]),
    );
    expect(mounts.join("\n")).not.toMatch(/shadow|javascript|\/sbin|\/etc$/m);
    expect(mountsOf()).not.toContain("ro /etc/resolv.conf");
  });

  it("mounts what lies below another mount after it, in whatever order the options stand", () => {
    expect(mountsOf({ ro: ["/work/out/deep", "/work"], rw: ["out"] }).slice(-3)).toEqual([
      "ro /work",
      "rw /work/out",
      "ro /work/out/deep",
    ]);
  });

  it.each([
    ["/home/me", "/home/me"],
    ["/", "/home/sandbox"],
    ["", "/home/sandbox"],
    ["relative", "/home/sandbox"],
    ["/usr/share/me", "/home/sandbox"],
    ["/tmp", "/home/sandbox"],
    ["/var/lib/me/", "/var/lib/me"],
  ])("has a home for HOME=%j: %s", (given, home) => {
    const { config } = planned({}, testHost({}, { HOME: given }));
    expect(config.process?.env).toContain(`HOME=${home}`);
    expect(config.mounts).toContainEqual(expect.objectContaining({ destination: home, type: "tmpfs" }));
  });

  it.each([
    ["/", []],
    ["/usr/share", []],
    ["/work/out", ["ro /work/out"]],
  ])("shows the working directory %s where it is not shown anyway", (cwd, shown) => {
    const host = testHost({ cwd });
    expect(mountsOf({}, host).filter((mount) => mount.endsWith(cwd) && cwd !== "/")).toEqual(shown);
    expect(planned({}, host).config.process?.cwd).toBe(cwd);
  });

  it.each([
    [{ rw: ["/"] }, "--rw /: it is the whole host"],
    [{ rw: ["/work/to-etc"] }, "--rw /work/to-etc: it is the host's own"],
    [{ rw: ["/home"] }, "--rw /home: it is the host's own"],
    [{ rw: ["/home/me"] }, "--rw /home/me: it holds your home directory"],
    [{ ro: ["/run/user/1000"] }, "--ro /run/user/1000: it holds"],
    [{ ro: ["/run/user/1000/runts/@seccomp"] }, "it holds the state of runts"],
    [{ ro: ["/dev/kvm"] }, "interface of the host's kernel"],
    [{ ro: ["/work:/etc"] }, "/etc is the sandbox's own"],
    [{ tmpfs: ["/proc/x"] }, "/proc/x is the sandbox's own"],
    [{ ro: ["/work"], tmpfs: ["/work"] }, "--ro /work: --tmpfs /work is at the same place"],
    [{ env: ["NOPE"] }, "--env NOPE: is not set"],
    [{ pids: 1.5 }, "--pids 1.5: must be"],
    [{ args: [] }, "there is no command to run"],
  ])("refuses %j", (options, words) => {
    expect(() => planned(options)).toThrow(words);
  });

  it.each(["/home/me", "/home", "/etc", "/etc/ssh", "/var", "/tmp", "/run", "/run/user/1000"])(
    "refuses the working directory %s, unless --cwd names another",
    (cwd) => {
      const host = testHost({ cwd });
      expect(() => planned({}, host)).toThrow(`the working directory ${cwd}: it `);
      expect(() => planned({ cwd: "/tmp" }, host)).not.toThrow();
    },
  );
});

describe("a host whose /home is a link to /var/home", () => {
  const realPath = (path: string) => {
    if (path.endsWith("/runts")) throw new Error("ENOENT");
    return path.replace(/^\/home(?=\/|$)/, "/var/home");
  };

  it.each([
    ["HOME", { HOME: "/home/me" }],
    ["passwd, since HOME is not set", { HOME: "" }],
  ])("refuses the home by its real path, known by %s", (_, variables) => {
    for (const cwd of ["/var/home/me", "/var/home"])
      expect(() => planned({}, testHost({ cwd, realPath }, variables))).toThrow(
        `the working directory ${cwd}: it holds your home directory`,
      );
    const host = testHost({ realPath }, variables);
    expect(() => planned({ rw: ["/home/me"] }, host)).toThrow("it holds your home directory");
    expect(() => planned({ rw: ["/home"] }, host)).toThrow("it is the host's own");
    expect(() => planned({ rw: ["/home/me/work"] }, host)).not.toThrow();
  });

  it("refuses the sockets and the state of runts by their real paths, before the state is there", () => {
    const surroundings = { ...SURROUNDINGS, stateRoot: "/home/me/state/runts" };
    const host = testHost({ realPath }, { XDG_RUNTIME_DIR: "/home/me/run" });
    for (const [path, words] of [
      ["/home/me/state", "it holds the state of runts"],
      ["/var/home/me/state", "it holds the state of runts"],
      ["/var/home/me/run", "it holds sockets"],
    ] as const)
      expect(() => sandboxConfig({ args: ["true"], ro: [path] }, host, surroundings)).toThrow(words);
  });
});

describe("--landlock", () => {
  it("repeats the rights of the mounts, and has no TCP without a network", () => {
    const rulesOf = (options: Partial<SandboxOptions>) => {
      const { annotations = {} } = planned({ landlock: true, ...options }).config;
      return JSON.parse(annotations["run.runts.landlock"] ?? "{}");
    };
    const { handledAccess, rules } = rulesOf({ rw: ["out"], ro: ["file:/data"] });
    const pathsWith = (right: string): string[] =>
      rules.pathBeneath.flatMap((rule: { allowedAccess: string[]; paths: string[] }) =>
        rule.allowedAccess.includes(right) ? rule.paths : [],
      );
    expect(pathsWith("make_reg")).toEqual(expect.arrayContaining(["/tmp", "/home/me", "/work/out"]));
    expect(pathsWith("write_file")).not.toEqual(expect.arrayContaining(["/usr"]));
    expect(pathsWith("execute")).toEqual(expect.arrayContaining(["/usr", "/data", "/work"]));
    // The kernel refuses a right to directories for a file.
    expect(pathsWith("read_dir")).not.toContain("/data");
    expect(pathsWith("read_file")).not.toContain("/bin");
    expect(handledAccess.handledAccessNetwork).toEqual(["bind", "connect"]);
    expect(rulesOf({ net: "host" }).handledAccess.handledAccessNetwork).toBeUndefined();
  });
});
