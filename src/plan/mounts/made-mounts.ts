import { AT_EMPTY_PATH, O_DIRECTORY, STATX_MNT_ID } from "../../../bindings/abi/fcntl.ts";
import { statx } from "../../../bindings/abi/layouts.ts";
import { OPEN_TREE_CLOEXEC } from "../../../bindings/abi/mount.ts";
import type { Program, Register } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { InitPlan, MadeMount, ReplyCheck } from "../init-plan.ts";
import {
  cleanPath,
  isAtOrBelow,
  type OpenOptions,
  type OpenOrCreateOptions,
  openInRoot,
  openOrCreate,
  type Target,
} from "../rootfs-paths.ts";
import { mountNumber } from "../structs.ts";

/**
 * The container's mounts, while the rest of it is made. Whoever shares the root file system can rename the directory that a mount
 * lies on, and put another in its place (rename(2), RENAME_EXCHANGE): by path the mount is gone then, with all that should have
 * been masked in it, until it is moved back. So what lies below a mount is opened from the mount's own descriptor.
 */

/** Where a path of the container is opened from. */
export interface Base {
  readonly from: Register;
  /** Of `from` in the container, for messages; empty for the root. */
  readonly within: string;
  /** The rest of the path; empty for `from` itself. */
  readonly path: string;
  /** Whether a symbolic link may lead out of it: nothing is found then (EXDEV). */
  readonly beneath: boolean;
}

/** What the kernel says of a path that leads to nothing, or elsewhere. */
const NOT_THERE = ["ELOOP", "ENOENT", "ENOTDIR"];

type Mounts = Pick<InitPlan, "root" | "made">;

/** The mount that a clean path lies on: of all that cover it the one that was made last. */
function coveringMount({ made }: Mounts, path: string): MadeMount | undefined {
  for (let index = made.length - 1; index >= 0; index--) {
    const mount = made[index];
    if (mount !== undefined && isAtOrBelow(path, mount.destination)) return mount;
  }
  return undefined;
}

/**
 * Where to look for a path, in this order. In a mount with files of others an absolute symbolic link means the container's root, so
 * that what is not found beneath the mount is looked for from there.
 */
export function basesOf(mounts: Mounts, path: string): readonly [Base, ...Base[]] {
  const clean = cleanPath(path);
  const covering = coveringMount(mounts, clean);
  if (covering?.mount === undefined) return [rootBase(mounts, clean)];
  const { destination, mount, isOurs } = covering;
  const below = clean.slice(destination.length + 1);
  const base: Base = { from: mount, within: destination.slice(1), path: below, beneath: !isOurs };
  return isOurs ? [base] : [base, rootBase(mounts, clean)];
}

function rootBase({ root }: Mounts, clean: string): Base {
  return { from: root, within: "", path: clean.slice(1), beneath: false };
}

/** Opens a path as O_PATH; with `tolerate`, what leads out of the base counts as not found. */
export function openFrom(program: Program, base: Base, path: string, options: OpenOptions): Register {
  const { from, beneath } = base;
  if (base.path === "" && ((options.flags ?? 0) & O_DIRECTORY) === 0) {
    // "." would be an error for the mount of a file.
    const { if: guard } = options;
    const condition = guard === undefined ? {} : { if: guard };
    return program.call("open_tree", [from, "", OPEN_TREE_CLOEXEC | AT_EMPTY_PATH], { ...condition, path });
  }
  if (!beneath) return openInRoot(program, from, base.path, { ...options, path });
  const tolerate = [...(options.tolerate ?? []), "EXDEV"];
  return openInRoot(program, from, base.path, { ...options, tolerate, beneath, path });
}

/** openOrCreate for a path of the container. */
export function openTarget(
  program: Program,
  mounts: Mounts,
  path: string,
  kind: "directory" | "file",
  options: OpenOrCreateOptions = {},
): Target {
  const bases = basesOf(mounts, path);
  const [first] = bases;
  const last = bases.at(-1) ?? first;
  return openOrCreate(program, last.from, last.path, kind, {
    ...options,
    within: last.within,
    ...(first !== last && { lookFirst: first }),
  });
}

/**
 * Looks whether each mount in which something is hidden still is where it was made: the kernel's numbers of the mount, and of what
 * the path leads to now. What is found is in the reply.
 */
export function verifyPlaces(program: Program, plan: InitPlan): ReplyCheck[] {
  const { maskedPaths = [], readonlyPaths = [] } = plan.config.linux ?? {};
  const hidden = [...maskedPaths.map(cleanPath), ...readonlyPaths.map(cleanPath)];
  const covering = new Set(hidden.map((path) => coveringMount(plan, path)));
  const checks: ReplyCheck[] = [];
  for (const made of plan.made) {
    const { destination, pointer, mount } = made;
    // One that is hidden itself, or covered by a later one, is not what the path leads to.
    const isOnTop = coveringMount(plan, destination) === made && !hidden.includes(destination);
    if (mount === undefined || !covering.has(made) || !isOnTop) continue;
    program.about(pointer, `verify that ${destination} is where it was mounted`);
    const found = openInRoot(program, plan.root, destination, { tolerate: NOT_THERE });
    const numbers = [mount, found].map((fd) => {
      const output = program.output(statx.size);
      program.do("statx", [fd, "", AT_EMPTY_PATH, STATX_MNT_ID, output], {
        if: [found, "ok"],
        path: destination,
      });
      return program.outputs.indexOf(output);
    });
    checks.push(checkOf(destination, pointer, numbers));
  }
  return checks;
}

function checkOf(destination: string, pointer: string, outputs: readonly number[]): ReplyCheck {
  return (reply) => {
    const [made, found] = outputs.map((output) => mountNumber(reply.outputs[output]));
    if (made === found && made !== 0n) return;
    const message = `${pointer}: ${destination} is not where it was mounted: somebody has changed the root file system meanwhile`;
    throw new RuntsError(message, { operation: "openat2", errno: "ESTALE", path: destination, pointer });
  };
}
