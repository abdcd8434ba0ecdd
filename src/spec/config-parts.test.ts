import { describe, expect, test } from "vitest";
import { parseMounts, parseProcess, parseResources } from "./config.ts";
import { thrown } from "./thrown.test-support.ts";
import type { Linux, LinuxResources } from "./types.ts";

describe("parseProcess", () => {
  test("applies the rules of a process, with pointers into the file", () => {
    expect(parseProcess('{"cwd":"/","args":["true"]}', "process.json")).toEqual({ cwd: "/", args: ["true"] });
    const text = '{"cwd":"/","args":["true"],\n"rlimits":[{"type":"RLIMIT_AS","soft":2,"hard":1}]}';
    expect(thrown(() => parseProcess(text, "process.json")).message).toBe(
      "process.json: line 2: /rlimits/0/soft: must not exceed the hard limit 1",
    );
    const nobody = '{"cwd":"/","args":["true"],"user":{"uid":4294967295,"gid":0}}';
    expect(thrown(() => parseProcess(nobody, "p.json")).message).toBe(
      "p.json: line 1: /user/uid: must be an integer from 0 to 4294967294",
    );
    expect(thrown(() => parseProcess('{"args":["a"]}', "p.json")).message).toBe("p.json: /cwd: is required");
  });
});

describe("parseMounts", () => {
  test("applies the rules of mounts, with pointers into the list", () => {
    expect(
      parseMounts('[{"destination":"/mnt","type":"tmpfs","options":null}]', "m.json", undefined),
    ).toEqual([{ destination: "/mnt", type: "tmpfs" }]);
    for (const [text, message] of [
      ['{"destination":"/mnt"}', "m.json: line 1: must be an array"],
      ['[\n{"type":"tmpfs"}]', "m.json: /0/destination: is required"],
      [
        '[{"destination":"/mnt"},\n{"destination":"/a","options":[1]}]',
        "line 2: /1/options/0: must be a string",
      ],
      ['[{"destination":"/a\\u0000"}]', "m.json: line 1: /0/destination: must not contain a NUL byte"],
      ['[{"destination":"/a","options":["idmap"]}]', "/0/options/0: needs uidMappings and gidMappings"],
    ] as const)
      expect(thrown(() => parseMounts(text, "m.json", undefined)).message).toContain(message);
  });

  test("takes id mappings from the container's user namespace", () => {
    const text = '[{"destination":"/a","options":["idmap"]}]';
    const map = [{ containerID: 0, hostID: 1000, size: 1 }];
    const inUserNamespace: Linux = { namespaces: [{ type: "user" }], uidMappings: map, gidMappings: map };
    expect(parseMounts(text, "m.json", inUserNamespace)).toHaveLength(1);
  });
});

describe("parseResources", () => {
  const same = (resources: LinuxResources) => resources;

  test("applies the rules of linux.resources, with pointers into the file", () => {
    expect(parseResources('{"memory":{"limit":5}}', "r.json", same)).toEqual({ memory: { limit: 5n } });
    expect(parseResources("{}", "r.json", same)).toEqual({});
    for (const [text, message] of [
      ['{"memory":\n{"limit":"5"}}', "r.json: line 2: /memory/limit: must be an integer from -9"],
      [
        '{"memory":\n{"limit":5,"swap":4}}',
        "r.json: line 2: /memory/swap: must not be below the memory limit 5",
      ],
      ['{"cpu":{"cpus":"\\u0000"}}', "r.json: line 1: /cpu/cpus: must not contain a NUL byte"],
      ["[]", "must be an object"],
    ] as const) {
      expect(thrown(() => parseResources(text, "r.json", same)).message).toContain(message);
    }
  });

  test("compares with the values after the update", () => {
    const merged = (update: LinuxResources) => ({ memory: { limit: 3n, ...update.memory } });
    const text = '{"memory":{"swap":4}}';
    expect(parseResources(text, "r.json", merged)).toEqual({ memory: { swap: 4n } });
    expect(thrown(() => parseResources(text, "r.json", same)).message).toContain(
      "/memory/swap: needs a memory limit",
    );
  });
});
