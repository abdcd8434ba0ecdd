import { describe, expect, it } from "vitest";
import { RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from "../../bindings/abi/fcntl.ts";
import { howOf, only, summary, testPlan } from "./plan.test-support.ts";
import { openHostProc, writeSysctls } from "./sysctl.ts";

describe("writeSysctls", () => {
  it("writes each value in one write, through the host's procfs only", () => {
    const { program, plan } = testPlan({ linux: { sysctl: { "net.ipv4.ip_forward": "1" } } });
    openHostProc(program, plan);
    writeSysctls(program, plan);
    expect(summary(program.operations)).toEqual([
      "openat /proc",
      "openat2 /proc/sys/net/ipv4/ip_forward",
      "write /proc/sys/net/ipv4/ip_forward",
      "close",
    ]);
    const [opened, written] = program.operations.slice(1);
    expect(opened?.args.slice(0, 2)).toEqual([plan.hostProc, "sys/net/ipv4/ip_forward"]);
    expect(howOf(opened).resolve).toBe(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    expect(written?.args).toEqual([opened?.into, "1", 1]);
    expect(opened?.tolerate).toEqual([]);
  });

  it.each([
    ["net/ipv4/conf/eth0.1/forwarding", "sys/net/ipv4/conf/eth0.1/forwarding"],
    ["net.ipv4.conf.eth0/1.forwarding", "sys/net/ipv4/conf/eth0.1/forwarding"],
  ])("the first separator of %s decides what a dot means", (key, path) => {
    const { program, plan } = testPlan({ linux: { sysctl: { [key]: "1" } } });
    writeSysctls(program, plan);
    expect(program.operations[0]?.args[1]).toBe(path);
  });

  it("escapes the key in the pointer (RFC 6901)", () => {
    const { program, plan } = testPlan({ linux: { sysctl: { "net/a~b.c": "1" } } });
    writeSysctls(program, plan);
    expect(program.operations[0]).toMatchObject({ pointer: "/linux/sysctl/net~1a~0b.c" });
  });

  it("counts bytes, not characters", () => {
    const { program, plan } = testPlan({ linux: { sysctl: { "kernel.domainname": "hé" } } });
    writeSysctls(program, plan);
    expect(only(program, "write")[0]?.args.slice(1)).toEqual(["hé", 3]);
  });
});
