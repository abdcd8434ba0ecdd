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
import { mountId } from "../structs.ts";

/**
 * Opens paths below mounts that the container has already. A process that shares the rootfs can exchange the directory that a mount lies on
 * for another one (rename(2), RENAME_EXCHANGE). Then the mount's path leads elsewhere until the directory is moved back, and masks for
 * files in the mount would miss them. So anything below a mount is opened from the mount's own descriptor.
 */

/** A directory that a path of the container is opened from, and the rest of the path. */
export interface Base {
  readonly from: Register;
  /** Path of `from` in the container, for messages; empty for the root. */
  readonly within: string;
  /** The rest of the path; empty for `from` itself. */
  readonly path: string;
  /** Whether symbolic links may lead out of `from`. The lookup then stays beneath it and fails with EXDEV. */
  readonly beneath: boolean;
}

/** Errors of a path whose directories were removed or replaced. */
const NOT_THERE = ["ELOOP", "ENOENT", "ENOTDIR"];

type Mounts = Pick<InitPlan, "root" | "made">;

/** The mount that a clean path lies on: the last one made of all that cover it. */
function coveringMount({ made }: Mounts, path: string): MadeMount | undefined {
  for (let index = made.length - 1; index >= 0; index--) {
    const mount = made[index];
    if (mount !== undefined && isAtOrBelow(path, mount.destination)) return mount;
  }
  return undefined;
}

/**
 * The bases to try for a path, in this order. A mount with files of others may hold absolute symbolic links, which start at the container's
 * root: so a path that isn't found beneath such a mount is looked up again from the root.
 */
export function basesOf(mounts: Mounts, path: string): readonly [Base, ...Base[]] {
  const clean = cleanPath(path);
  const covering = coveringMount(mounts, clean);
  if (covering?.mount === undefined) return [rootBase(mounts, clean)];
  const { destination, mount, hasTrustedContent } = covering;
  const below = clean.slice(destination.length + 1);
  const base: Base = { from: mount, within: destination.slice(1), path: below, beneath: !hasTrustedContent };
  return hasTrustedContent ? [base] : [base, rootBase(mounts, clean)];
}

function rootBase({ root }: Mounts, clean: string): Base {
  return { from: root, within: "", path: clean.slice(1), beneath: false };
}

/** Opens a path as O_PATH. With `tolerate`, a path that leads out of the base counts as not found. */
export function openFrom(program: Program, base: Base, path: string, options: OpenOptions): Register {
  const { from, beneath } = base;
  if (base.path === "" && ((options.flags ?? 0) & O_DIRECTORY) === 0) {
    // Opening "." would fail if a file is mounted.
    const { if: guard } = options;
    const condition = guard === undefined ? {} : { if: guard };
    return program.call("open_tree", [from, "", OPEN_TREE_CLOEXEC | AT_EMPTY_PATH], { ...condition, path });
  }
  if (!beneath) return openInRoot(program, from, base.path, { ...options, path });
  const tolerate = [...(options.tolerate ?? []), "EXDEV"];
  return openInRoot(program, from, base.path, { ...options, tolerate, beneath, path });
}

/** Like openOrCreate, for a path of the container that may lie below one of its mounts. */
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
 * Verifies that each mount with a masked or read-only path in it is still at its destination: the returned checks compare the mount's ID with
 * the ID of the mount that the path leads to now.
 */
export function verifyMountPoints(program: Program, plan: InitPlan): ReplyCheck[] {
  const { maskedPaths = [], readonlyPaths = [] } = plan.config.linux ?? {};
  const hidden = [...maskedPaths.map(cleanPath), ...readonlyPaths.map(cleanPath)];
  const covering = new Set(hidden.map((path) => coveringMount(plan, path)));
  const checks: ReplyCheck[] = [];
  for (const made of plan.made) {
    const { destination, pointer, mount } = made;
    // The path doesn't lead to a mount that is masked itself, or that a later mount covers.
    const isOnTop = coveringMount(plan, destination) === made && !hidden.includes(destination);
    if (mount === undefined || !covering.has(made) || !isOnTop) continue;
    program.about(pointer, `verify that ${destination} is where it was mounted`);
    const found = openInRoot(program, plan.root, destination, { tolerate: NOT_THERE });
    const outputs = [mount, found].map((fd) => {
      const output = program.output(statx.size);
      program.do("statx", [fd, "", AT_EMPTY_PATH, STATX_MNT_ID, output], {
        if: [found, "ok"],
        path: destination,
      });
      return program.outputs.indexOf(output);
    });
    checks.push((reply) => {
      const [madeId, foundId] = outputs.map((output) => mountId(reply.outputs[output]));
      if (madeId === foundId && madeId !== 0n) return;
      const message = `${pointer}: ${destination} is not where it was mounted: the root file system was changed meanwhile`;
      throw new RuntsError(message, { operation: "openat2", errno: "ESTALE", path: destination, pointer });
    });
  }
  return checks;
}
