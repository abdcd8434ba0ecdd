import { LANDLOCK_RULE_NET_PORT, LANDLOCK_RULE_PATH_BENEATH } from "../../../bindings/abi/landlock.ts";
import {
  landlock_net_port_attr,
  landlock_path_beneath_attr,
  landlock_ruleset_attr,
} from "../../../bindings/abi/layouts.ts";
import { at, type Data, data, type Program, type Register } from "../../../bindings/stub/program.ts";
import { LANDLOCK_POINTER, type Landlock, type WordList } from "../../spec/landlock.ts";
import { openInRoot } from "../rootfs-paths.ts";

/** A rule for one file hierarchy or port. */
interface Rule<T> {
  readonly pointer: string;
  readonly object: T;
  /** LANDLOCK_ACCESS_*, as names and as bits. */
  readonly allowed: { readonly words: readonly string[]; readonly bits: number };
}

/** The Landlock domain of a process, as far as the kernel supports it. */
export interface LandlockDomain {
  readonly handled: { readonly files: number; readonly network: number; readonly scopes: number };
  readonly paths: readonly Rule<string>[];
  readonly ports: readonly Rule<number>[];
  /** LANDLOCK_RESTRICT_SELF_* */
  readonly flags: number;
}

/** Words of the annotation that the kernel's ABI lacks. */
export interface Lacking {
  readonly pointer: string;
  readonly words: readonly string[];
}

/**
 * The domain that a kernel with this ABI can enforce, and what it lacks. The domain is undefined if nothing is left to restrict: a ruleset that
 * handles nothing is an error (ENOMSG).
 */
export function domainFor(
  landlock: Landlock,
  abi: number,
): { readonly domain: LandlockDomain | undefined; readonly lacking: readonly Lacking[] } {
  const supported = (list: WordList) => list.words.filter((word) => (list.known[word]?.abi ?? 0) <= abi);
  const bits = (list: WordList) =>
    supported(list).reduce((sum, word) => sum | (list.known[word]?.bit ?? 0), 0);
  const { handledAccess, flags } = landlock;
  const { files, network, scopes } = handledAccess;
  const lacking = [files, network, scopes, flags].flatMap((list): Lacking[] => {
    const words = list.words.filter((word) => !supported(list).includes(word));
    return words.length === 0 ? [] : [{ pointer: list.pointer, words }];
  });
  const handled = { files: bits(files), network: bits(network), scopes: bits(scopes) };
  if (handled.files === 0 && handled.network === 0 && handled.scopes === 0)
    return { domain: undefined, lacking };
  const rulesOf = <T>(
    rules: readonly { allowed: WordList; objects: readonly { pointer: string; object: T }[] }[],
  ) =>
    rules.flatMap(({ allowed, objects }): Rule<T>[] => {
      const rights = { words: supported(allowed), bits: bits(allowed) };
      return rights.bits === 0 ? [] : objects.map((object) => ({ ...object, allowed: rights }));
    });
  const domain = {
    handled,
    paths: rulesOf(landlock.paths),
    ports: rulesOf(landlock.ports),
    flags: bits(flags),
  };
  return { domain, lacking };
}

/**
 * Makes the ruleset of a domain. The paths are opened with the rights of the set-up, which may be more than those of the container's user:
 * a rule grants nothing beyond the modes of the files.
 */
export function makeRuleset(program: Program, root: Register, domain: LandlockDomain): Register {
  program.about(`${LANDLOCK_POINTER}/handledAccess`, "make the Landlock ruleset");
  const { files, network, scopes } = domain.handled;
  const attr = new Uint8Array(new BigUint64Array([files, network, scopes].map(BigInt)).buffer);
  const ruleset = program.call("landlock_create_ruleset", [data(attr), landlock_ruleset_attr.size, 0], {
    path: "Landlock ruleset",
  });
  addPathRules(program, root, ruleset, domain.paths);
  for (const { pointer, object: port, allowed } of domain.ports) {
    program.about(pointer, `allow ${allowed.words.join(", ")} for TCP port ${port}`);
    program.do("landlock_add_rule", [ruleset, LANDLOCK_RULE_NET_PORT, netPortAttr(allowed.bits, port), 0]);
  }
  return ruleset;
}

/** All paths take one register in turn: a stub has some 3800, and there may be as many rules. */
function addPathRules(
  program: Program,
  root: Register,
  ruleset: Register,
  rules: readonly Rule<string>[],
): void {
  let into: Register | undefined;
  for (const { pointer, object: path, allowed } of rules) {
    program.about(pointer, `allow ${allowed.words.join(", ")} at ${path}`);
    into = openInRoot(program, root, path, into === undefined ? {} : { into });
    const attr = data(new Uint8Array(landlock_path_beneath_attr.size));
    setRights(attr, allowed.bits);
    program.store(at(attr, landlock_path_beneath_attr.parent_fd), into, 4);
    program.do("landlock_add_rule", [ruleset, LANDLOCK_RULE_PATH_BENEATH, attr, 0], { path });
    program.do("close", [into], { path });
  }
}

function netPortAttr(allowed: number, port: number): Data {
  const attr = data(new Uint8Array(landlock_net_port_attr.size));
  setRights(attr, allowed);
  new DataView(attr.bytes.buffer).setBigUint64(landlock_net_port_attr.port, BigInt(port), true);
  return attr;
}

/** The field `allowed_access`, the first of each rule. */
function setRights({ bytes }: Data, allowed: number): void {
  new DataView(bytes.buffer).setBigUint64(0, BigInt(allowed), true);
}

/**
 * Enters the domain for good. It needs no_new_privs, and comes after every step that the domain could deny: mount(2) and pivot_root(2) are
 * denied to all who are restricted in their access to files. What the process still does before its execve opens no file and reaches no
 * other process. The seccomp filter, which may deny these calls, is loaded later.
 */
export function enterDomain(program: Program, ruleset: Register, { flags }: LandlockDomain): void {
  program.about(LANDLOCK_POINTER, "enter the Landlock domain");
  program.do("landlock_restrict_self", [ruleset, flags]);
  program.do("close", [ruleset]);
}
