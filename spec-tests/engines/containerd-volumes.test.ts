import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { containerdTests } from "../harness/engines/containerd.ts";
import { IMAGE, needsContainerd } from "../harness/engines/containerd-settings.ts";
import { inPod } from "../harness/engines/pods.ts";

const check = containerdTests();

const IDS = { host: 300_000, length: 65_536 };
const IN_USER_NAMESPACE = { userNamespace: IDS };

check(
  "CRI container with a recursive read-only mount: mounts below are read-only, too",
  async (engine, context) => {
    needsContainerd("2.0", context);
    const shared = join(engine.directory, "shared");
    const below = join(shared, "below");
    mkdirSync(below);
    await engine.besideDaemon("mount", "-t", "tmpfs", "below", below);
    await inPod(engine, {}, async (start) => {
      const mount = { source: shared, readonly: true };
      const id = await start({
        mounts: [
          { ...mount, target: "/plain" },
          { ...mount, target: "/recursive", recursive: true },
        ],
      });
      const touch = async (file: string) => (await engine.cri.exec(id, "touch", file)).stderr;
      expect(await touch("/plain/below/x")).toBe("");
      for (const file of ["/plain/x", "/recursive/x", "/recursive/below/x"])
        expect(await touch(file)).toContain("Read-only file system");
    });
    await engine.besideDaemon("umount", below);
  },
);

check(
  "CRI pod with hostUsers false, volume with its ids: files have the same owners in the pod and on the host",
  async (engine, context) => {
    needsContainerd("2.0", context);
    const folder = join(engine.directory, "mapped");
    mkdirSync(folder);
    writeFileSync(join(folder, "of-1000"), "");
    chownSync(join(folder, "of-1000"), 1000, 1000);
    await inPod(engine, IN_USER_NAMESPACE, async (start) => {
      const mounts = [
        { source: folder, target: "/mapped", ids: IDS },
        { source: folder, target: "/plain" },
      ];
      const id = await start({ ...IN_USER_NAMESPACE, mounts });
      const script =
        "cat /proc/self/uid_map; stat -c %u:%g /mapped/of-1000 /plain/of-1000; touch /mapped/new && stat -c %u /mapped/new";
      const { stdout, stderr } = await engine.cri.exec(id, "sh", "-c", script);
      expect(stderr).toBe("");
      const map = ["0", `${IDS.host}`, `${IDS.length}`];
      expect(stdout.trim().split(/\s+/)).toEqual([...map, "1000:1000", "65534:65534", "0"]);
    });
    expect(statSync(join(folder, "new")).uid).toBe(0);
  },
);

check("CRI containers with an image as a volume: its files, read-only", async (engine, context) => {
  needsContainerd("2.1", context);
  await inPod(engine, {}, async (start) => {
    const mounts = [{ image: IMAGE, target: "/image", readonly: true }];
    for (const id of [await start({ mounts }), await start({ mounts })]) {
      const script = "cmp /etc/passwd /image/etc/passwd && ls /image/bin/busybox; touch /image/x";
      const { stdout, stderr } = await engine.cri.exec(id, "sh", "-c", script);
      expect(stdout).toBe("/image/bin/busybox\n");
      expect(stderr).toContain("Read-only file system");
    }
  });
});

check(
  "CRI pod with hostUsers false, an image as a volume: root of the pod owns its files",
  async (engine, context) => {
    needsContainerd("2.1", context);
    await inPod(engine, IN_USER_NAMESPACE, async (start) => {
      const mounts = [{ image: IMAGE, target: "/image", readonly: true, ids: IDS }];
      const id = await start({ ...IN_USER_NAMESPACE, mounts });
      const { stdout, stderr } = await engine.cri.exec(id, "stat", "-c", "%u:%g", "/image/bin/busybox");
      expect({ stdout, stderr }).toEqual({ stdout: "0:0\n", stderr: "" });
    });
  },
);
