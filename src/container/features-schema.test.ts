import { Ajv } from "ajv";
import { expect, it } from "vitest";
import { features } from "./features.ts";

/** The schema of features.md and features-linux.md of the runtime-spec: it takes no other property and no unknown name. */
const enabled = { type: "object", required: ["enabled"], properties: { enabled: { type: "boolean" } } };
const names = (pattern: string) => ({ type: "array", uniqueItems: true, items: { type: "string", pattern } });
const closed = (properties: Readonly<Record<string, object>>) => ({
  type: "object",
  additionalProperties: false,
  required: Object.keys(properties),
  properties,
});
const boolean = { type: "boolean" };

const linux = closed({
  namespaces: names("^(cgroup|ipc|mount|network|pid|time|user|uts)$"),
  capabilities: names("^CAP_[A-Z_]+$"),
  cgroup: closed({ v1: boolean, v2: boolean, systemd: boolean, systemdUser: boolean, rdma: boolean }),
  seccomp: closed({
    enabled: boolean,
    actions: names("^SCMP_ACT_(KILL|KILL_PROCESS|KILL_THREAD|TRAP|ERRNO|TRACE|ALLOW|LOG|NOTIFY)$"),
    operators: names("^SCMP_CMP_(NE|LT|LE|EQ|GE|GT|MASKED_EQ)$"),
    archs: names("^SCMP_ARCH_[A-Z0-9_]+$"),
    knownFlags: names("^SECCOMP_FILTER_FLAG_(TSYNC|LOG|SPEC_ALLOW|WAIT_KILLABLE_RECV)$"),
    supportedFlags: names("^SECCOMP_FILTER_FLAG_(TSYNC|LOG|SPEC_ALLOW|WAIT_KILLABLE_RECV)$"),
  }),
  apparmor: enabled,
  selinux: enabled,
  intelRdt: closed({ enabled: boolean, schemata: boolean, monitoring: boolean }),
  memoryPolicy: closed({ modes: names("^MPOL_[A-Z_]+$"), flags: names("^MPOL_F_[A-Z_]+$") }),
  mountExtensions: closed({ idmap: enabled }),
  netDevices: enabled,
});

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"],
  properties: {
    ociVersionMin: { const: "1.0.0" },
    ociVersionMax: { type: "string", pattern: "^1\\.\\d+\\.\\d+$" },
    hooks: names("^(prestart|createRuntime|createContainer|startContainer|poststart|poststop)$"),
    mountOptions: names("^[a-z_]+$"),
    annotations: { type: "object", additionalProperties: { type: "string" } },
    potentiallyUnsafeConfigAnnotations: names("^[a-z0-9._]+$"),
    linux,
  },
};

const validate = new Ajv({ allErrors: true }).compile(schema);
const found = () => JSON.parse(JSON.stringify(features()));

it("features are as features.md and features-linux.md define them", () => {
  validate(found());
  expect(validate.errors ?? []).toEqual([]);
});

it.each([
  ["a property that is not defined", { more: true }],
  ["a hook that is not defined", { hooks: ["preStart"] }],
  ["no text for a version", { ociVersionMax: 1.3 }],
  ["a missing part of linux", { linux: { ...found().linux, netDevices: undefined } }],
])("the schema refuses %s", (_situation, change) => {
  expect(validate(JSON.parse(JSON.stringify({ ...found(), ...change })))).toBe(false);
});
