import { describe, expect, it } from "vitest";
import { type CriuOptions, decodeResponse, encodeRequest, optionsMessage } from "./messages.ts";
import { Decoded, encodeMessage } from "./protobuf.ts";

const options: CriuOptions = {
  imagesDirectory: 4,
  logFile: "dump.log",
  root: "/rootfs",
  extUnixSk: true,
  tcpEstablished: false,
  shellJob: true,
  fileLocks: false,
  autoDedup: true,
  lazyPages: false,
  cgroupMode: "soft",
  external: ["mnt[/a]:/a", "net[7]:extRootNetNS"],
  emptyNamespaces: 0x40000000,
};

describe("encodeRequest", () => {
  it("requests the version, and keeps the connection open", () => {
    expect([...encodeRequest({ type: "VERSION", keepOpen: true })]).toEqual([0x08, 10, 0x20, 1]);
  });

  it("requests features by number", () => {
    const request = new Decoded(encodeRequest({ type: "FEATURE_CHECK", features: ["lazyPages"] }));
    expect(request.int(1)).toBe(9);
    expect(request.message(5)?.bool(1)).toBeUndefined();
    expect(request.message(5)?.bool(2)).toBe(true);
  });

  it("answers a notification", () => {
    const request = new Decoded(encodeRequest({ type: "NOTIFY", notifySuccess: false }));
    expect([request.int(1), request.bool(3)]).toEqual([6, false]);
  });

  it("has the options in their fields", () => {
    const sent = new Decoded(encodeRequest({ type: "DUMP", options })).message(2);
    expect([sent?.int(1), sent?.string(10), sent?.string(13), sent?.int(34)]).toEqual([
      4,
      "dump.log",
      "/rootfs",
      3,
    ]);
    expect([sent?.bool(4), sent?.bool(5), sent?.bool(7), sent?.bool(16), sent?.bool(50)]).toEqual([
      true,
      false,
      true,
      true,
      true,
    ]);
  });
});

describe("optionsMessage", () => {
  it("leaves out absent options", () => {
    const sent = Object.entries(optionsMessage(options)).flatMap(([field, value]) =>
      value === undefined ? [] : [Number(field)],
    );
    expect(sent).toEqual([1, 4, 5, 7, 8, 9, 10, 12, 13, 16, 24, 34, 37, 38, 48, 50]);
  });

  it("encodes pairs as messages", () => {
    const message = optionsMessage({
      ...options,
      pageServer: { address: "::1", port: 77 },
      cgroupRoots: [{ controller: "", path: "/box" }],
      inheritFds: [{ key: "pipe:[1]", fd: 5 }],
      joinNamespaces: [{ type: "ipc", path: "/ns" }],
      networkLock: "nftables",
    });
    expect(message).toMatchObject({
      11: { 1: "::1", 2: 77 },
      25: [{ 1: "", 2: "/box" }],
      27: [{ 1: "pipe:[1]", 2: 5 }],
      39: [{ 1: "ipc", 2: "/ns" }],
      64: 2,
    });
  });

  it.each([
    ["", 6],
    ["ignore", 0],
    ["soft", 3],
    ["full", 4],
    ["strict", 5],
  ] as const)("knows the cgroup mode %j", (cgroupMode, number) => {
    expect(optionsMessage({ ...options, cgroupMode })[34]).toBe(number);
  });
});

describe("decodeResponse", () => {
  it("reads a version", () => {
    const bytes = encodeMessage({ 1: 10, 2: true, 10: { 1: 4, 2: 1, 4: 1 } });
    expect(decodeResponse(bytes)).toMatchObject({
      type: "VERSION",
      success: true,
      version: { number: 40101, text: "4.1.1" },
    });
  });

  it("counts a version between two releases as the next", () => {
    const { version } = decodeResponse(encodeMessage({ 1: 10, 2: true, 10: { 1: 3, 2: 14, 3: "v3.14-7" } }));
    expect(version?.number).toBe(31500);
  });

  it("reads a notification", () => {
    const response = decodeResponse(encodeMessage({ 1: 6, 2: true, 5: { 1: "post-restore", 2: 77 } }));
    expect(response).toMatchObject({ type: "NOTIFY", notify: { script: "post-restore", pid: 77 } });
  });

  it("reads a failure", () => {
    const response = decodeResponse(encodeMessage({ 1: 1, 2: false, 7: 17, 9: "Can't dump\n" }));
    expect(response).toMatchObject({ type: "DUMP", success: false, errno: 17, message: "Can't dump" });
  });

  it("has only the available features", () => {
    const response = decodeResponse(encodeMessage({ 1: 9, 2: true, 8: { 1: false, 2: true } }));
    expect([...response.features]).toEqual(["lazyPages"]);
  });

  it("has no type for an unknown one", () => {
    expect(decodeResponse(encodeMessage({ 1: 0, 2: false })).type).toBeUndefined();
  });
});
