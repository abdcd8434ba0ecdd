import { expect } from "vitest";
import { CONTAINERD_PROGRAMS, Containerd } from "../harness/engines/containerd.ts";
import { needsContainerd } from "../harness/engines/containerd-settings.ts";
import { engineTests } from "../harness/engines/engine.ts";
import { inPod, type StartContainer } from "../harness/engines/pods.ts";
import { Machine } from "../harness/systemd/systemd.ts";

/** SystemdCgroup = true, with a runtime that is the default: pods without a RuntimeClass have it. */
const check = engineTests({
  who: "containerd with systemd",
  programs: { ...CONTAINERD_PROGRAMS, "dbus-daemon": "dbus" },
  open: async () => {
    const machine = await Machine.boot();
    try {
      return await Containerd.start(machine);
    } catch (error) {
      await machine.stop();
      throw error;
    }
  },
});

/** A slice that has the name and the place which the kubelet gives to a pod of the QoS class BestEffort. */
const SLICE = "kubepods-besteffort-pod0123_4567.slice";
const PARENT = `/kubepods.slice/kubepods-besteffort.slice/${SLICE}`;

/** Both the pid and the path are those of the machine. */
function cgroupOf(machine: Machine, pid: number): string {
  return /^0::(.*)$/m.exec(machine.output("cat", `/proc/${pid}/cgroup`))?.[1] ?? "";
}

/** A pod below that slice. */
function inSlice(
  engine: Containerd,
  body: (start: StartContainer, machine: Machine, pod: string) => Promise<void>,
) {
  const { machine } = engine;
  if (machine === undefined) throw new Error("this containerd is not below systemd");
  const options = { handler: "", cgroupParent: PARENT };
  return inPod(engine, options, (start, pod) => body(start, machine, pod));
}

check("CRI runtime config: the cgroup driver is systemd", async ({ cri }, context) => {
  needsContainerd("2.0", context);
  expect(await cri.cgroupDriver()).toBe("systemd");
});

check(
  "CRI pod with the kubelet's slice: sandbox and container are scopes of it, which go with them",
  async (engine) => {
    const { cri } = engine;
    await inSlice(engine, async (start, machine, pod) => {
      const id = await start();
      const processes: [string, number][] = [
        [pod, await cri.podPid(pod)],
        [id, await cri.pid(id)],
      ];
      for (const [name, pid] of processes) {
        const unit = `cri-containerd-${name}.scope`;
        expect(machine.show(unit, "ActiveState", "Slice", "Delegate")).toEqual({
          ActiveState: "active",
          Slice: SLICE,
          Delegate: "yes",
        });
        expect(cgroupOf(machine, pid)).toBe(`${PARENT}/${unit}`);
      }
      await cri.stop(id, 0);
      await cri.remove(id);
      await expect.poll(() => machine.units("cri-containerd-*")).toEqual([`cri-containerd-${pod}.scope`]);
      expect((await cri.exec(await start(), "echo", "next")).stdout).toBe("next\n");
    });
  },
);

check("CRI update: the cgroup of the scope has the new limit, also after daemon-reload", async (engine) => {
  await inSlice(engine, async (start, machine) => {
    const id = await start();
    const cgroup = cgroupOf(machine, await engine.cri.pid(id));
    const limit = () => machine.output("cat", `/sys/fs/cgroup${cgroup}/hugetlb.2MB.max`);
    for (const value of ["4194304", "2097152"]) {
      await engine.cri.update(id, { unified: { "hugetlb.2MB.max": value } });
      expect(limit()).toBe(value);
    }
    machine.output("systemctl", "daemon-reload");
    expect(limit()).toBe("2097152");
  });
});

check("CRI, containerd restarted: the container goes on in its scope, exec works", async (engine) => {
  await inSlice(engine, async (start, machine) => {
    const id = await start();
    const before = cgroupOf(machine, await engine.cri.pid(id));
    await engine.restart();
    expect(cgroupOf(machine, await engine.cri.pid(id))).toBe(before);
    expect((await engine.cri.exec(id, "echo", "still")).stdout).toBe("still\n");
  });
});
