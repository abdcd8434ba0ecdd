import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { substituteKernel } from "../../../bindings/ffi/syscall.ts";
import { readFileSync } from "../../../bindings/linux/files.ts";
import { Manager } from "../../cgroup/systemd/manager.ts";
import { Names } from "../names.ts";
import { Recorder } from "../operation.ts";
import { SimulatedKernel } from "./kernel.ts";
import { simulateSystemd } from "./systemd.ts";

const SLICE = { name: "Slice", signature: "s", value: "one-two.slice", pointer: "/linux/cgroupsPath" };
const CONTROLLERS = "cpuset cpu io memory pids";

describe("simulateSystemd", () => {
  let recorder: Recorder;
  let kernel: SimulatedKernel;
  let restore: () => void;

  function simulate(kind: "system" | "user"): Manager {
    restore = simulateSystemd(kind, recorder, kernel);
    substituteKernel(kernel.call);
    return new Manager(kind);
  }

  beforeEach(() => {
    recorder = new Recorder();
    kernel = new SimulatedKernel(new Names(), () => undefined, true);
    kernel.files.assumesCgroups = true;
  });
  afterEach(() => {
    substituteKernel(undefined);
    restore();
  });

  it("makes a scope in its slices, with the controllers that systemd delegates", () => {
    const manager = simulate("system");
    manager.startTransientUnit("x.scope", [SLICE]).finish();
    const path = `${manager.controlGroup()}/one.slice/one-two.slice/x.scope`;
    expect(kernel.processes.cgroup).toBe(path);
    expect(readFileSync(`/sys/fs/cgroup${path}/cgroup.controllers`, "utf8").trim()).toBe(CONTROLLERS);
    expect(readFileSync(`/sys/fs/cgroup${path}/cgroup.subtree_control`, "utf8").trim()).toBe("");
  });

  it("refuses a unit that exists", () => {
    const manager = simulate("system");
    manager.startTransientUnit("x.scope", [SLICE]).finish();
    expect(() => manager.startTransientUnit("x.scope", [SLICE])).toThrow(
      "/linux/cgroupsPath: systemd refuses to start x.scope: Unit x.scope was already loaded",
    );
  });

  it("attaches its own device program for a device policy", () => {
    const manager = simulate("system");
    const policy = (value: string) => ({ name: "DevicePolicy", signature: "s", value });
    manager.startTransientUnit("x.scope", [SLICE, policy("strict")]);
    expect(kernel.devicePrograms).toBe(1);
    manager.setUnitProperties("x.scope", [policy("auto")]);
    expect(kernel.devicePrograms).toBe(0);
  });

  it("assumes the usual cgroup of a user's manager that can't be asked, with a note", () => {
    const before = process.env.DBUS_SESSION_BUS_ADDRESS;
    process.env.DBUS_SESSION_BUS_ADDRESS = "unix:path=/nonexistent/bus";
    const manager = simulate("user");
    if (before === undefined) delete process.env.DBUS_SESSION_BUS_ADDRESS;
    else process.env.DBUS_SESSION_BUS_ADDRESS = before;
    const uid = process.geteuid?.();
    expect(manager.controlGroup()).toMatch(/^\/user\.slice\/user-\d+\.slice\/user@\d+\.service$/);
    expect([...recorder.notes]).toEqual([
      expect.stringMatching(
        new RegExp(`^--systemd-cgroup: .*; a systemd is assumed whose .*user@${uid}\\.service$`),
      ),
    ]);
  });

  it("records each request, with a pointer for each property, but no reads", () => {
    const manager = simulate("system");
    manager.controlGroup();
    const limit = { name: "TasksMax", signature: "t", value: 7n, pointer: "/linux/resources/pids/limit" };
    manager.startTransientUnit("x.scope", [SLICE, { name: "Delegate", signature: "b", value: true }, limit]);
    const systemd = "org.freedesktop.systemd1.Manager";
    expect(recorder.operations.map(({ call, args, pointer }) => [call, args.join(" "), pointer])).toEqual([
      ["sd_bus_open_system", "", ""],
      ["org.freedesktop.DBus.AddMatch", expect.stringContaining("JobRemoved"), ""],
      [`${systemd}.Subscribe`, "", ""],
      [`${systemd}.StartTransientUnit`, '"x.scope" "fail" [...] []', "/linux/cgroupsPath"],
      ["property", 'Slice "one-two.slice"', "/linux/cgroupsPath"],
      ["property", "Delegate true", ""],
      ["property", "TasksMax uint64 7", "/linux/resources/pids/limit"],
    ]);
  });
});
