import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { preservedFds } from "./caller.ts";

describe("handedDescriptors", () => {
  const NAMES = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "RUNTS_FDS", "RUNTS_GAPS"] as const;
  const before = NAMES.map((name) => [name, process.env[name]] as const);

  beforeEach(() => {
    for (const name of NAMES) delete process.env[name];
  });
  afterEach(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  const launched = (RUNTS_FDS: string, env: NodeJS.ProcessEnv = {}): void => {
    Object.assign(process.env, { RUNTS_FDS, ...env });
  };
  const sockets = (LISTEN_FDS: string) => ({ LISTEN_FDS, LISTEN_PID: String(process.pid) });

  it("has no gaps where the launcher has filled none", () => {
    launched("5");
    expect(preservedFds(2, true)).toEqual({ count: 2, gaps: [], env: [] });
  });

  it("has the gaps that the launcher has filled, as far as they are handed over", () => {
    launched("60", { RUNTS_GAPS: "3-8,10-39,41-62" });
    const gaps = [
      { first: 3, last: 8 },
      { first: 10, last: 39 },
    ];
    expect(preservedFds(38, true)).toEqual({ count: 38, gaps, env: [] });
    expect(preservedFds(40, true).gaps).toEqual([...gaps, { first: 41, last: 42 }]);
    expect(preservedFds(3, true).gaps).toEqual([{ first: 3, last: 5 }]);
    expect(preservedFds(0, true).gaps).toEqual([]);
  });

  it("has gaps behind the sockets, which all are open", () => {
    launched("6", { RUNTS_GAPS: "5-8", ...sockets("2") });
    expect(preservedFds(4, true)).toMatchObject({ count: 6, gaps: [{ first: 5, last: 8 }] });
    launched("6", { RUNTS_GAPS: "4-4,6-8", ...sockets("2") });
    expect(() => preservedFds(4, true)).toThrow("LISTEN_FDS=2: file descriptor 4 is not open");
    expect(preservedFds(2, false)).toMatchObject({ count: 2, gaps: [{ first: 4, last: 4 }] });
  });

  it("tells which descriptor is closed, where the launcher could not fill", () => {
    launched("1");
    expect(() => preservedFds(2000, true)).toThrow(/^--preserve-fds 2000: file descriptor 4 is not open; /);
    launched("1", sockets("2"));
    expect(() => preservedFds(0, true)).toThrow(/^LISTEN_FDS=2: file descriptor 4 is not open/);
  });

  it("hands over nothing without the launcher", () => {
    Object.assign(process.env, sockets("1"));
    expect(preservedFds(0, true)).toEqual({ count: 0, gaps: [], env: [] });
  });
});
