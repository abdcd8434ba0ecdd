import { describe, expect, it } from "vitest";
import {
  LANDLOCK_ACCESS_FS_EXECUTE,
  LANDLOCK_ACCESS_FS_IOCTL_DEV,
  LANDLOCK_ACCESS_NET_BIND_TCP,
  LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON,
  LANDLOCK_SCOPE_SIGNAL,
} from "../../../bindings/abi/landlock.ts";
import { LANDLOCK_ANNOTATION, LANDLOCK_POINTER, type Landlock, landlockOf } from "../../spec/landlock.ts";
import { testPlan } from "../plan.test-support.ts";
import { domainFor, enterDomain, makeRuleset } from "./landlock.ts";

function landlock(handledAccess: object, rest: object = {}): Landlock {
  const text = JSON.stringify({ handledAccess, ...rest });
  const config = { ociVersion: "1.3.0", root: { path: "/" }, annotations: { [LANDLOCK_ANNOTATION]: text } };
  const read = landlockOf(config);
  if (read === undefined) throw new Error("the annotation was not read");
  return read;
}

const everything = landlock(
  {
    handledAccessFS: ["execute", "refer", "truncate", "ioctl_dev"],
    handledAccessNetwork: ["bind"],
    scoped: ["signal"],
  },
  {
    rules: {
      pathBeneath: [
        { allowedAccess: ["execute", "ioctl_dev"], paths: ["/bin", "/dev"] },
        { allowedAccess: ["ioctl_dev"], paths: ["/dev/fuse"] },
      ],
      networkPort: [{ allowedAccess: ["bind"], ports: [80] }],
    },
    restrictSelfFlags: ["log_new_exec_on"],
  },
);

describe("domainFor", () => {
  it("has all that the newest ABI knows", () => {
    const { domain, lacking } = domainFor(everything, 7);
    expect(lacking).toEqual([]);
    expect(domain?.handled.scopes).toBe(LANDLOCK_SCOPE_SIGNAL);
    expect(domain?.handled.network).toBe(LANDLOCK_ACCESS_NET_BIND_TCP);
    expect(domain?.flags).toBe(LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON);
    expect(domain?.paths.map(({ object }) => object)).toEqual(["/bin", "/dev", "/dev/fuse"]);
    expect(domain?.paths[0]?.allowed.bits).toBe(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_IOCTL_DEV);
  });

  it.each<[abi: number, lacking: readonly string[]]>([
    [6, ["log_new_exec_on"]],
    [5, ["signal", "log_new_exec_on"]],
    [4, ["ioctl_dev", "signal", "log_new_exec_on"]],
    [3, ["ioctl_dev", "bind", "signal", "log_new_exec_on"]],
    [2, ["truncate", "ioctl_dev", "bind", "signal", "log_new_exec_on"]],
    [1, ["refer", "truncate", "ioctl_dev", "bind", "signal", "log_new_exec_on"]],
  ])("leaves out of ABI %i what it lacks", (abi, expected) => {
    const { lacking } = domainFor(everything, abi);
    expect(lacking.flatMap(({ words }) => words)).toEqual(expected);
  });

  it("leaves out rules that allow nothing then", () => {
    const { domain } = domainFor(everything, 1);
    expect(domain?.paths.map(({ object, allowed }) => [object, allowed.words])).toEqual([
      ["/bin", ["execute"]],
      ["/dev", ["execute"]],
    ]);
    expect(domain?.ports).toEqual([]);
  });

  it("is undefined where nothing is left to restrict", () => {
    expect(domainFor(landlock({ scoped: ["signal"] }), 5).domain).toBeUndefined();
  });
});

describe("makeRuleset and enterDomain", () => {
  it("open each path in the container's root, by one register for all, and name each rule's place", () => {
    const { program, plan } = testPlan({});
    const { domain } = domainFor(everything, 7);
    if (domain === undefined) throw new Error("there is a domain");
    const before = program.operations.length;
    enterDomain(program, makeRuleset(program, plan.root, domain), domain);
    const operations = program.operations.slice(before).filter(({ call }) => call !== "store");
    const rulesAt = `${LANDLOCK_POINTER}/rules`;
    expect(operations.map(({ call, pointer }) => [call, pointer])).toEqual([
      ["landlock_create_ruleset", `${LANDLOCK_POINTER}/handledAccess`],
      ...[
        `${rulesAt}/pathBeneath/0/paths/0`,
        `${rulesAt}/pathBeneath/0/paths/1`,
        `${rulesAt}/pathBeneath/1/paths/0`,
      ].flatMap((pointer) => ["openat2", "landlock_add_rule", "close"].map((call) => [call, pointer])),
      ["landlock_add_rule", `${rulesAt}/networkPort/0/ports/0`],
      ["landlock_restrict_self", LANDLOCK_POINTER],
      ["close", LANDLOCK_POINTER],
    ]);
    const opened = operations.filter(({ call }) => call === "openat2");
    expect(opened.every(({ args }) => args[0] === plan.root)).toBe(true);
    expect(new Set(opened.map(({ into }) => into)).size).toBe(1);
  });
});
