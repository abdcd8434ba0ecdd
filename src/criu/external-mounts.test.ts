import { describe, expect, it } from "vitest";
import { type MountInfo, parseMountInfo } from "../../bindings/linux/mount-info.ts";
import { mountRequests } from "../plan/mounts/requests.ts";
import { testPlan } from "../plan/plan.test-support.ts";
import type { Mount, Namespace } from "../spec/types.ts";
import { type ContainerMounts, externalAtDump, externalAtRestore } from "./external-mounts.ts";

function container(
  mounts: readonly Mount[],
  more: Partial<ContainerMounts> = {},
  namespaces: readonly Namespace[] = [{ type: "cgroup" }],
): ContainerMounts {
  return {
    requests: mountRequests(testPlan({ mounts, linux: { namespaces } }).plan),
    devices: ["/dev/null", "/dev/tty"],
    maskedPaths: ["/proc/keys"],
    ...more,
  };
}

function seen(...places: (string | Partial<MountInfo>)[]): MountInfo[] {
  const lines = places.map((place, index) => {
    const { point = "/", root = "/", type = "ext4" } = typeof place === "string" ? { point: place } : place;
    return `${index} 0 8:1 ${root} ${point} rw - ${type} none rw`;
  });
  return parseMountInfo(lines.join("\n"));
}

const bind = (destination: string, source: string, option = "bind"): Mount => ({
  destination,
  source,
  options: [option],
});
const cgroup: Mount = { destination: "/sys/fs/cgroup", type: "cgroup" };

describe("externalAtDump", () => {
  it("has bind mounts, named by their paths", () => {
    const mounts = [bind("/data", "/srv"), bind("/etc/hosts", "/tmp/hosts")];
    expect(externalAtDump(container(mounts), seen("/", "/data", "/etc/hosts", "/other"))).toEqual([
      "mnt[/data]:/data",
      "mnt[/etc/hosts]:/etc/hosts",
    ]);
  });

  it("leaves file systems of the container to criu", () => {
    const mounts: Mount[] = [{ destination: "/dev/shm", type: "tmpfs" }, cgroup];
    expect(externalAtDump(container(mounts), seen("/", "/proc", "/dev/shm", "/sys/fs/cgroup"))).toEqual([]);
  });

  it("has the cgroup mount of a container without a cgroup namespace", () => {
    const found = externalAtDump(container([cgroup], {}, []), seen("/sys/fs/cgroup"));
    expect(found).toEqual(["mnt[/sys/fs/cgroup]:/sys/fs/cgroup"]);
  });

  it("has masked files as the host's /dev/null, but no masked directories", () => {
    const mounts = seen(
      { point: "/proc/keys", root: "/null", type: "devtmpfs" },
      { point: "/proc/acpi", type: "tmpfs" },
    );
    expect(externalAtDump(container([]), mounts)).toEqual(["mnt[/proc/keys]:/dev/null"]);
  });

  it("has bind-mounted device nodes, including /dev/null", () => {
    const mounts = seen(
      { point: "/dev/null", root: "/null" },
      { point: "/dev/tty", root: "/tty" },
      "/dev/other",
    );
    expect(externalAtDump(container([]), mounts)).toEqual([
      "mnt[/dev/null]:/dev/null",
      "mnt[/dev/tty]:/dev/tty",
    ]);
  });

  it("has the mounts below a recursive bind mount, but not the container's own", () => {
    const mounts = [bind("/data", "/srv", "rbind"), { destination: "/data/tmp", type: "tmpfs" }];
    const found = externalAtDump(
      container(mounts),
      seen("/data", "/data/sub", "/data/tmp", "/data/tmp/own", "/datas"),
    );
    expect(found).toEqual(["mnt[/data]:/data", "mnt[/data/sub]:/data/sub"]);
  });

  it("has no mounts below a non-recursive bind mount", () => {
    expect(externalAtDump(container([bind("/data", "/srv")]), seen("/data", "/data/sub"))).toEqual([
      "mnt[/data]:/data",
    ]);
  });
});

describe("externalAtRestore", () => {
  const host = {
    mounts: seen("/", "/srv/disk", "/srvother"),
    realPath: ({ source }: { readonly source: string }) => (source === "/link" ? "/srv" : source),
  };
  const rest = ["mnt[/dev/null]:/dev/null", "mnt[/dev/tty]:/dev/tty"];

  it("has the sources of bind mounts, with symlinks resolved", () => {
    const mounts = [bind("/data", "/srv"), bind("/more", "/link")];
    expect(externalAtRestore(container(mounts), host)).toEqual([
      "mnt[/data]:/srv",
      "mnt[/more]:/srv",
      ...rest,
    ]);
  });

  it("has the mounts below the source of a recursive bind mount", () => {
    const found = externalAtRestore(container([bind("/data", "/link", "rbind")]), host);
    expect(found).toEqual(["mnt[/data]:/srv", "mnt[/data/disk]:/srv/disk", ...rest]);
  });

  it("has all mounts of the host for a recursive bind mount of its root", () => {
    const found = externalAtRestore(container([bind("/host", "/", "rbind")]), host);
    expect(found).toEqual([
      "mnt[/host]:/",
      "mnt[/host/srv/disk]:/srv/disk",
      "mnt[/host/srvother]:/srvother",
      ...rest,
    ]);
  });

  it("has the cgroup mount only if it is a bind mount, and /dev/null only if it is needed", () => {
    const none = { devices: [], maskedPaths: [] };
    expect(externalAtRestore(container([cgroup], none), host)).toEqual([]);
    expect(externalAtRestore(container([cgroup], none, []), host)).toEqual([
      "mnt[/sys/fs/cgroup]:/sys/fs/cgroup",
    ]);
  });

  it("ignores remounts", () => {
    const mounts: Mount[] = [{ destination: "/proc", options: ["remount", "bind", "ro"] }];
    expect(externalAtRestore(container(mounts, { devices: [], maskedPaths: [] }), host)).toEqual([]);
  });
});
