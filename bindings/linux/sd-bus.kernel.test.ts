import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SyscallError } from "../syscall-error.ts";
import { type Bus, BusError, openBus, substituteBus } from "./sd-bus.ts";

const DBUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;
const hasDaemon = spawnSync("dbus-daemon", ["--version"]).status === 0;

describe.skipIf(!hasDaemon)("a bus (needs dbus-daemon)", () => {
  let daemon: ChildProcess | undefined;

  beforeAll(async () => {
    daemon = spawn("dbus-daemon", ["--session", "--nofork", "--print-address"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [address] = daemon.stdout === null ? [] : await once(daemon.stdout, "data");
    process.env.DBUS_SESSION_BUS_ADDRESS = String(address).trim();
  });
  afterAll(() => {
    delete process.env.DBUS_SESSION_BUS_ADDRESS;
    daemon?.kill();
  });

  it("returns the replies of calls", () => {
    const bus = openBus("user");
    expect(bus.call({ ...DBUS, member: "GetId" }, "", [], "s")).toEqual([
      expect.stringMatching(/^[0-9a-f]{32}$/),
    ]);
    expect(bus.call({ ...DBUS, member: "RequestName" }, "su", ["org.runts.Test", 4n], "u")).toEqual([1n]);
    bus.close();
  });

  it("throws the error of a failed call", () => {
    const bus = openBus("user");
    const ask = () => bus.call({ ...DBUS, member: "GetNameOwner" }, "s", ["org.runts.Nobody"], "s");
    expect(ask).toThrow(BusError);
    expect(ask).toThrow(/org\.runts\.Nobody/);
    expect(() => bus.call({ ...DBUS, member: "GetNameOwner" }, "u", [1n], "s")).toThrow(BusError);
    bus.close();
  });

  it("sends every kind of value", () => {
    const bus = openBus("user");
    // The daemon has no method with such arguments: it reads them, and its error names their signature.
    const call = () =>
      bus.call({ ...DBUS, member: "GetNameOwner" }, "sa(sv)", [
        "a",
        [
          ["b", ["t", 5n]],
          ["c", ["as", ["x", "y"]]],
          ["d", ["ay", [1n, 255n]]],
          ["e", ["a(ss)", [["p", "rw"]]]],
          ["f", ["b", true]],
          ["g", ["i", -1n]],
        ],
      ]);
    expect(call).toThrow(/InvalidArgs|signature|expected/i);
    bus.close();
  });

  it("waits for a signal, with a time limit", () => {
    const bus = openBus("user");
    bus.call({ ...DBUS, member: "AddMatch" }, "s", ["type='signal',member='NameOwnerChanged'"]);
    bus.call({ ...DBUS, member: "RequestName" }, "su", ["org.runts.Signal", 4n]);
    const wait = (name: string, timeout: number) =>
      bus.awaitSignal(
        { interface: DBUS.interface, member: "NameOwnerChanged" },
        "sss",
        ([changed]) => changed === name,
        timeout,
      );
    expect(wait("org.runts.Signal", 5000)).toBe(true);
    expect(wait("org.runts.Other", 1)).toBe(false);
    bus.close();
  });
});

it("can be substituted for all who connect, and restored", () => {
  const other: Bus = { call: () => ["/"], awaitSignal: () => true, close: () => undefined };
  const kinds: string[] = [];
  substituteBus((kind) => {
    kinds.push(kind);
    return other;
  });
  expect([openBus("user"), openBus("system")]).toEqual([other, other]);
  expect(kinds).toEqual(["user", "system"]);
  substituteBus(undefined);
  expect(() => openBus("user", "libsystemd.so.999")).toThrow(SyscallError);
});

it("distinguishes a missing library from a missing bus", () => {
  const open = () => openBus("user", "libsystemd.so.999");
  expect(open).toThrow(SyscallError);
  expect(open).toThrow("dlopen libsystemd.so.999: ENOENT");
  process.env.DBUS_SESSION_BUS_ADDRESS = "unix:path=/nonexistent/bus";
  expect(() => openBus("user")).toThrow("sd_bus_open_user: ENOENT");
  delete process.env.DBUS_SESSION_BUS_ADDRESS;
});
