import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { becomeUser, ownFolder, rangeShell, rootlessShell, SUBIDS, USER } from "../harness/host/user.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "user_namespaces(7), config-linux.md, User namespace mappings";

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

spec("rootless run, own id mapped: root in the container is the caller", CLAUSE, async (sandbox) => {
  const container = rootlessShell(
    sandbox,
    "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /tmp/x",
  );
  const { code, stdout, stderr } = await container.run();
  expect({ code, stderr: /newuidmap/.test(stderr) }).toEqual({ code: 0, stderr: false });
  expect(words(stdout)).toEqual(["0", "0", "0", String(USER), "1", "0", String(USER), "1", "deny"]);
  expect(statSync(join(container.rootfs, "tmp/x"))).toMatchObject({ uid: USER, gid: USER });
});

spec(
  "rootless run, no mappings: root in the container is the caller",
  "practice",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "id -u; cat /proc/self/uid_map; touch /tmp/x", (config) => {
      delete config.linux.uidMappings;
      delete config.linux.gidMappings;
    });
    const { code, stdout } = await container.run();
    expect({ code, words: words(stdout).slice(0, 4) }).toEqual({
      code: 0,
      words: ["0", "0", String(USER), "1"],
    });
    expect(statSync(join(container.rootfs, "tmp/x"))).toMatchObject({ uid: USER, gid: USER });
  },
  { runc: "a new user namespace without mappings is an error" },
);

spec("rootless run, ranges of subuid and subgid: all mapped", "newuidmap(1)", async (sandbox) => {
  const container = rangeShell(sandbox, "id -u; id -g; touch /tmp/x; cat /proc/self/uid_map", (config) => {
    config.process.user = { uid: 5, gid: 6 };
  });
  const map = ["0", String(USER), "1", "1", String(SUBIDS), "1000"];
  expect(words(await container.output())).toEqual(["5", "6", ...map]);
  expect(statSync(join(container.rootfs, "tmp/x"))).toMatchObject({ uid: SUBIDS + 4, gid: SUBIDS + 5 });
});

spec(
  "rootless run, groups mapped by newgidmap: additionalGids are set",
  CLAUSE,
  async (sandbox) => {
    const container = rangeShell(sandbox, "id -G", (config) => {
      config.process.user = { uid: 5, gid: 6, additionalGids: [7, 8] };
    });
    expect(words(await container.output())).toEqual(["6", "7", "8"]);
  },
  { runc: "no supplementary groups without privileges" },
);

spec(
  "rootless run and exec, run.oci.keep_original_groups: the caller's groups in place of additionalGids",
  "engines: podman run --group-add keep-groups",
  async (sandbox) => {
    const shared = join(sandbox.directory, "shared");
    writeFileSync(shared, "seen\n");
    chmodSync(shared, 0o640);
    chownSync(shared, 0, 4242);
    becomeUser(sandbox, { groups: [4242] });
    const container = rangeShell(sandbox, "cat /tmp/shared; id -G; exec sleep 1000", (config) => {
      config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
      config.annotations = { "run.oci.keep_original_groups": "1" };
      config.mounts.push({ destination: "/tmp/shared", type: "bind", source: shared, options: ["rbind"] });
    });
    await container.started();
    const { stdout } = await container.exec(["sh", "-c", "cat /tmp/shared; id -G"]);
    // The id has no mapping: it is shown as the overflow id, but still gives access.
    expect(words(stdout)).toEqual(["seen", "6", "65534"]);
    await expect.poll(() => words(container.printed())).toEqual(words(stdout));
  },
  { runc: "does not know crun's annotation" },
);

spec(
  "rootless create, additionalGids where setgroups is denied: error that names it",
  CLAUSE,
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true", (config) => {
      config.process.user = { uid: 0, gid: 0, additionalGids: [7] };
    });
    expectRefusal(await container.create(), /additional ?g/i);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "additionalGids are left out where setgroups is denied" },
);

spec(
  "rootless run of the config that spec --rootless writes: works",
  "runc spec --rootless",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true");
    const folder = ownFolder(sandbox);
    expect(await sandbox.invoke(["spec", "--rootless", "--bundle", folder])).toMatchObject({ code: 0 });
    const config = parseObject(readFileSync(join(folder, "config.json"), "utf8"));
    const process = { ...asObject(config.process), terminal: false, args: ["sh", "-c", "id -u; hostname"] };
    container.writeConfig(JSON.stringify({ ...config, process }));
    expect(words(await container.output())[0]).toBe("0");
  },
);

const lifeDeviations = byCase(
  { crun: "no exec before start", cases: ["own id mapped"] },
  {
    crun: "no exec before start",
    runc: "the waiting init of another mapped user can't be joined",
    cases: ["ranges mapped"],
  },
);

for (const [title, make] of [
  ["own id mapped", rootlessShell],
  ["ranges mapped", rangeShell],
] as const) {
  spec(
    `rootless create, state, exec, start, list, kill and delete, ${title}: all succeed`,
    "runtime.md",
    async (sandbox) => {
      const container = make(sandbox, "echo up; exec sleep 1000", (config) => {
        if (make === rangeShell) config.process.user = { uid: 5, gid: 5 };
      });
      await container.created();
      expect((await container.state()).status).toBe("created");
      const early = await container.exec(["sh", "-c", "id -u; hostname"]);
      expect(early).toMatchObject({ code: 0, stdout: make === rangeShell ? "5\nbox\n" : "0\nbox\n" });
      expect(await container.start()).toMatchObject({ code: 0, stderr: "" });
      const { pid, status } = await container.state();
      expect(status).toBe("running");
      expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain(
        `Uid:\t${make === rangeShell ? SUBIDS + 4 : USER}\t`,
      );
      const late = await container.exec(["sh", "-c", "echo out; echo err >&2; exit 42"]);
      expect(late).toMatchObject({ code: 42, stdout: "out\n" });
      expect((await sandbox.invoke(["list", "--quiet"])).stdout).toBe(`${container.id}\n`);
      expect(await container.kill("KILL")).toMatchObject({ code: 0 });
      await container.until("stopped");
      expect(await container.delete()).toMatchObject({ code: 0, stderr: "" });
    },
    lifeDeviations(title),
  );
}

spec(
  "rootless ps, no cgroup: the processes of the pid namespace",
  "runc ps",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "sleep 1000 & exec sleep 1000");
    await container.started();
    const { pid } = await container.state();
    const ps = async (): Promise<number[]> =>
      JSON.parse((await sandbox.invoke(["ps", "--format", "json", container.id])).stdout);
    await expect.poll(ps).toHaveLength(2);
    expect(await ps()).toContain(pid);
  },
  { both: "ps needs a cgroup" },
);

spec(
  "rootless events --stats, no cgroup: one line without counts, exit 0",
  "practice of runc",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "exec sleep 1000");
    await container.started();
    const { code, stdout, stderr } = await sandbox.invoke(["events", "--stats", container.id]);
    expect(code).toBe(0);
    const { type, id, data } = parseObject(stdout);
    expect({ type, id }).toEqual({ type: "stats", id: container.id });
    expect(asObject(data)).toMatchObject({ pids: {}, hugetlb: {} });
    if (IS_RUNTS) expect(stderr).toMatch(/level=warning.*has no cgroup/);
    // Without --stats there is nothing to report.
    expectRefusal(await sandbox.invoke(["events", container.id]), /cgroup|no such file/);
  },
  { crun: "has neither events nor --pidfd-socket" },
);

/** Shares the host's pid namespace. A new procfs needs one of its own, so the host's is bound. */
function shareProcesses(config: Config): void {
  setNamespace(config, "pid", undefined);
  config.mounts = config.mounts.map((mount) =>
    mount.destination === "/proc"
      ? { destination: "/proc", type: "none", source: "/proc", options: ["rbind"] }
      : mount,
  );
}

const warningDeviations = byCase({
  crun: "does not warn that there is no cgroup",
  runc: { reason: "does not warn that there is no cgroup", before: "1.2" },
  cases: ["the host's pid namespace"],
});

for (const [what, warned, change] of [
  ["the host's pid namespace", true, shareProcesses],
  ["a pid namespace of its own", false, () => undefined],
] as const) {
  spec(
    `rootless run, no cgroup, ${what}: ${warned ? "a warning, as its processes can't all be killed" : "no such warning"}`,
    "practice of runc",
    async (sandbox) => {
      const container = rootlessShell(sandbox, "true", change);
      const { code, stderr } = await container.run();
      expect(code).toBe(0);
      const words =
        "Creating a rootless container with no cgroup and no private pid namespace. Such configuration is strongly discouraged";
      expect(stderr.includes(words)).toBe(warned);
    },
    warningDeviations(what),
  );
}

spec("rootless pause, no cgroup: error that says so", "cgroups(7)", async (sandbox) => {
  const container = rootlessShell(sandbox, "exec sleep 1000");
  await container.started();
  expectRefusal(await sandbox.invoke(["pause", container.id]), /cgroup/);
  expect((await container.state()).status).toBe("running");
});

spec(
  "rootless exec --user and --additional-gids: the process has those ids",
  CLAUSE,
  async (sandbox) => {
    const container = rangeShell(sandbox, "exec sleep 1000");
    await container.started();
    const flags = ["--user", "7:8", "--additional-gids", "9"];
    const { code, stdout } = await container.exec(["sh", "-c", "id -u; id -G"], { flags });
    expect({ code, stdout: words(stdout) }).toEqual({ code: 0, stdout: ["7", "8", "9"] });
  },
  { crun: "exec has no option --additional-gids", runc: "no supplementary groups without privileges" },
);

spec("rootless exec: the container's processes can't trace it", "CVE-2016-9962", async (sandbox) => {
  const container = rootlessShell(
    sandbox,
    // Looks for a process that has not executed the container's program yet, and reads its link exe, which only a tracer may.
    "while :; do for p in /proc/[0-9]*; do case $(cat $p/comm) in runts-init*|runc:*|exe|*crun*|3|4|5) ls -l $p/exe; esac; done; done 2>/dev/null",
  );
  const { stdout } = await container.started();
  expect(stdout).toBe("");
  for (let round = 0; round < 5; round++) await container.exec(["true"]);
  expect(container.printed()).not.toContain("memfd:");
});

spec(
  "rootless create --console-socket: the process has a terminal",
  "config.md, process.terminal",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = rangeShell(sandbox, "tty; id -u", (config) => {
      config.process.terminal = true;
      config.process.user = { uid: 5, gid: 5 };
    });
    chmodSync(console.socket, 0o777);
    await container.started({ flags: ["--console-socket", console.socket] });
    await container.until("stopped");
    expect(await console.output()).toBe("/dev/pts/0\r\n5\r\n");
  },
);

spec(
  "rootless run, hooks: those of the runtime run as the caller, the others in the container",
  "config.md, Hooks",
  async (sandbox) => {
    const folder = ownFolder(sandbox);
    const log = (name: string): string => join(folder, name);
    const hook = (name: string) => ({
      path: "/bin/sh",
      args: ["sh", "-c", `{ cat > /dev/null; id -u; cat /proc/self/uid_map; } > ${name}`],
      env: ["PATH=/usr/bin:/bin"],
    });
    const container = rangeShell(sandbox, "true", (config) => {
      config.process.user = { uid: 5, gid: 5 };
      config.hooks = {
        createRuntime: [hook(log("createRuntime"))],
        createContainer: [hook(log("createContainer"))],
        startContainer: [hook("/tmp/startContainer")],
        poststart: [hook(log("poststart"))],
      };
    });
    await container.output();
    const all = (text: string): string[] => words(text).slice(0, 4);
    const names = ["createRuntime", "createContainer", "poststart"];
    const seen = names.map((name) => all(readFileSync(log(name), "utf8")));
    expect(seen).toEqual([
      [String(USER), "0", "0", "4294967295"],
      ["0", "0", String(USER), "1"],
      [String(USER), "0", "0", "4294967295"],
    ]);
    // A startContainer hook runs as the user of the process.
    expect(all(container.readFile("tmp/startContainer"))).toEqual(["5", "0", String(USER), "1"]);
  },
);

spec(
  "rootless run in the namespaces of another container: joined",
  "user_namespaces(7): the user namespace first",
  async (sandbox) => {
    const first = rangeShell(sandbox, "exec sleep 1000");
    await first.started();
    const { pid } = await first.state();
    const second = rootlessShell(sandbox, "hostname; readlink /proc/self/ns/user; ps -o args", (config) => {
      const joined = { user: "user", pid: "pid", ipc: "ipc", uts: "uts" };
      delete config.linux.uidMappings;
      delete config.linux.gidMappings;
      delete config.hostname;
      config.linux.namespaces = config.linux.namespaces.map(({ type }) => {
        const name = Object.entries(joined).find(([known]) => known === type)?.[1];
        return name === undefined ? { type } : { type, path: `/proc/${pid}/ns/${name}` };
      });
    });
    const output = await second.output();
    expect(output).toMatch(/^box\n/);
    expect(output).toContain("sleep 1000");
  },
  { crun: "joins the pid namespace before it is root of the user namespace" },
);

spec(
  "rootless run, a time namespace: made, with its offsets",
  "time_namespaces(7)",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "cut -d. -f1 /proc/uptime", (config) => {
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { boottime: { secs: 1_000_000_000 } };
    });
    expect(Number(await container.output())).toBeGreaterThan(1_000_000_000);
  },
  { runc: { reason: "time namespaces came with 1.2", before: "1.2" } },
);

spec(
  "rootless run, a bind mount of a file that only the caller may read: the container can read it",
  CLAUSE,
  async (sandbox) => {
    const folder = ownFolder(sandbox);
    chmodSync(folder, 0o700);
    writeFileSync(join(folder, "x"), "from the host\n");
    // No id of this container is the caller's.
    const container = rangeShell(sandbox, "cat /mnt/x", (config) => {
      config.mounts.push({
        destination: "/mnt/x",
        type: "bind",
        source: join(folder, "x"),
        options: ["bind"],
      });
      config.linux.uidMappings = [{ containerID: 0, hostID: SUBIDS, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: SUBIDS, size: 1000 }];
    });
    giveRootfsTo(container.rootfs, { uid: SUBIDS, gid: SUBIDS });
    expect(await container.output()).toBe("from the host\n");
  },
  {
    crun: "sources of bind mounts are opened as the root of the user namespace",
    runc: "changes the owner of the standard streams, which are files here, and fails if it may not",
  },
);
