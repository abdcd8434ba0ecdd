import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Seccomp, SeccompArg } from "../spec/types.ts";
import { cacheDirectory, cacheKey, findFilter } from "./cache.ts";
import { storeFilter } from "./cache-store.ts";
import { compileSeccomp } from "./compile.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "runts-cache-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const argument: SeccompArg = { index: 0, op: "SCMP_CMP_MASKED_EQ", value: 1n, valueTwo: 2n };
const rule = { names: ["clone"], action: "SCMP_ACT_ERRNO", errnoRet: 1, args: [argument] } as const;
const profile: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 2,
  architectures: [],
  flags: [],
  syscalls: [rule, { names: ["read", "write"], action: "SCMP_ACT_ALLOW" }],
};

/** Compiles a profile and stores the filter. */
function store(seccomp: Seccomp) {
  const compiled = compileSeccomp(seccomp, () => undefined);
  const key = cacheKey(seccomp);
  storeFilter(cacheDirectory(root), key, compiled, ["warned"]);
  return { compiled, key };
}

describe("cacheKey", () => {
  const withRule = (changes: object): Seccomp => ({ ...profile, syscalls: [{ ...rule, ...changes }] });
  const withArgument = (changes: Partial<SeccompArg>) => withRule({ args: [{ ...argument, ...changes }] });
  const { flags: _flags, defaultErrnoRet: _errno, ...less } = profile;
  const { errnoRet: _ret, ...noErrno } = rule;
  const { valueTwo: _two, ...noValueTwo } = argument;

  test("differs between all different profiles", () => {
    const profiles: Seccomp[] = [
      profile,
      less,
      { ...less, flags: [] },
      { ...profile, defaultAction: "SCMP_ACT_ALLOW" },
      { ...profile, defaultErrnoRet: 3 },
      { ...profile, architectures: ["SCMP_ARCH_X86"] },
      { ...profile, flags: ["SECCOMP_FILTER_FLAG_LOG"] },
      { ...profile, syscalls: [] },
      { ...profile, syscalls: [...(profile.syscalls ?? [])].reverse() },
      withRule({}),
      withRule({ names: ["clone", "clone3"] }),
      withRule({ names: ['clone","clone3'] }),
      withRule({ action: "SCMP_ACT_TRACE" }),
      withRule({ errnoRet: 2 }),
      { ...profile, syscalls: [noErrno] },
      withRule({ args: [] }),
      withRule({ args: [argument, argument] }),
      withArgument({ index: 1 }),
      withArgument({ op: "SCMP_CMP_EQ" }),
      withArgument({ value: 2n }),
      withArgument({ value: 2n ** 64n - 1n }),
      withArgument({ value: 2n ** 64n - 2n }),
      withArgument({ valueTwo: 0n }),
      withRule({ args: [noValueTwo] }),
    ];
    const keys = profiles.map((each) => Buffer.from(cacheKey(each).bytes).toString());
    expect(new Set(keys).size).toBe(profiles.length);
    expect(new Set(profiles.map((each) => cacheKey(each).name)).size).toBe(profiles.length);
  });

  test("does not depend on the agent", () => {
    expect(cacheKey({ ...profile, listenerPath: "/a", listenerMetadata: "b" })).toEqual(cacheKey(profile));
  });

  test("differs for another program", () => {
    expect(cacheKey(profile, "one")).not.toEqual(cacheKey(profile, "two"));
  });
});

describe("a stored filter", () => {
  test("is found, with the warnings of its compilation", () => {
    const { compiled, key } = store(profile);
    const { filter, ...notes } = findFilter(cacheDirectory(root), key) ?? { filter: [] };
    expect([...filter]).toEqual([...compiled.filter]);
    expect(notes).toMatchObject({
      flags: compiled.flags,
      notifies: false,
      warnings: ["warned"],
      library: expect.stringMatching(/^\/.*libseccomp\.so/),
      libraryIdentity: expect.stringMatching(/./),
    });
  });

  test("is not found for another profile, or without a cache", () => {
    const { key } = store(profile);
    expect(findFilter(cacheDirectory(root), cacheKey({ ...profile, syscalls: [] }))).toBeUndefined();
    expect(findFilter(join(root, "nowhere"), key)).toBeUndefined();
  });

  test("is not found for another profile whose hash is the same", () => {
    const { key } = store(profile);
    const other = { ...cacheKey({ ...profile, syscalls: [] }), name: key.name };
    expect(findFilter(cacheDirectory(root), other)).toBeUndefined();
  });

  test("replaces an older file", () => {
    const { key } = store(profile);
    const path = join(cacheDirectory(root), key.name);
    const before = statSync(path).ino;
    store(profile);
    expect(readdirSync(cacheDirectory(root))).toEqual([key.name]);
    expect(statSync(path).ino).not.toBe(before);
  });

  test("is not stored for an absurdly large profile", () => {
    const names = Array.from({ length: 30_000 }, (_, i) => `no_such_call_${i}`);
    expect(() => store({ ...profile, syscalls: [{ names, action: "SCMP_ACT_ALLOW" }] })).toThrow(
      /the profile is too large: \d+ bytes/,
    );
    expect(readdirSync(root)).toEqual([]);
  });

  test("leaves no temporary file if it can't be renamed", () => {
    const { key } = store(profile);
    rmSync(join(cacheDirectory(root), key.name));
    mkdirSync(join(cacheDirectory(root), key.name, "sub"), { recursive: true });
    expect(() => store(profile)).toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(readdirSync(cacheDirectory(root))).toEqual([key.name]);
  });
});

test("at most 64 files and 4 MiB are kept: the oldest are removed, those of an interrupted writer too", () => {
  const { key } = store(profile);
  const directory = cacheDirectory(root);
  const put = (name: string, size: number, time: number) => {
    writeFileSync(join(directory, name), Buffer.alloc(size));
    utimesSync(join(directory, name), time, time);
  };
  put("new-1-interrupted", 1, 1);
  for (let i = 0; i < 80; i++) put(`small-${i}`, 1, 1000 + i);
  store(profile);
  const left = readdirSync(directory);
  expect(left).toHaveLength(64);
  expect(left).toEqual(expect.arrayContaining([key.name, "small-79", "small-17"]));
  expect(left).not.toEqual(expect.arrayContaining(["small-16"]));
  for (let i = 0; i < 10; i++) put(`large-${i}`, 1024 * 1024, 2000 + i);
  store(profile);
  expect(readdirSync(directory).sort()).toEqual([key.name, "large-7", "large-8", "large-9"].sort());
});
