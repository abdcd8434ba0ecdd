import { AT_EMPTY_PATH, O_NOFOLLOW, S_IFDIR, S_IFMT, STATX_TYPE } from "../../bindings/abi/fcntl.ts";
import { statx } from "../../bindings/abi/layouts.ts";
import { absolutePath, basename, dirname } from "../../bindings/linux/paths.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import type { InitPlan } from "./init-plan.ts";
import { basesOf, openFrom } from "./made-mounts.ts";
import type { MountOptions } from "./mount-options.ts";
import { cleanPath, isAtOrBelow } from "./rootfs-paths.ts";

/**
 * Sources of bind mounts that earlier mounts of the same config show: "rootfs/a" is what an earlier mount has put on /a, and not the
 * host's directory below it. config.md, Mounts: "The runtime MUST mount entries in the listed order."
 */

/** What such a mount is about. */
export interface SourceRequest {
  readonly pointer: string;
  readonly destination: string;
  readonly options: MountOptions;
  readonly source: string;
  readonly link: string | undefined;
  /** Path in the container of a source that an earlier mount covers, or lies in. */
  inner?: string;
}

/** Whether it shows a source of the host: a bind mount, but not a change of one, nor a link that takes its place. */
export function isMadeOfSource({ options, link }: Pick<SourceRequest, "options" | "link">): boolean {
  return options.bind && !options.remount && link === undefined;
}

/** Finds them. The host is asked only about sources that seem to lie below the rootfs. */
export function findInnerSources(
  requests: readonly SourceRequest[],
  { config, facts }: Pick<InitPlan, "config" | "facts">,
): void {
  const given = rootAsGiven(config.root.path, facts.bundle);
  const earlier: string[] = [];
  for (const request of requests) {
    const { source, pointer, destination, options, link } = request;
    if (isMadeOfSource(request)) {
      const followAll = (path: string) => facts.followOnHost(path, pointer);
      const follow = options.sourceNoFollow
        ? (path: string) => cleanPath(`${followAll(dirname(path))}/${basename(path)}`)
        : followAll;
      const inner = innerSource(source, earlier, { rootfs: facts.rootfs, given, follow });
      if (inner !== undefined) request.inner = inner;
    }
    if (!options.remount && link === undefined) earlier.push(destination);
  }
}

/** The rootfs without a look at the host: sources are written like that. */
export function rootAsGiven(path: string, bundle: string): string {
  return absolutePath(path.startsWith("/") ? path : `${bundle}/${path}`);
}

interface Rootfs {
  /** Without symbolic links. */
  readonly rootfs: string;
  readonly given: string;
  /** Follows symbolic links as the host does, in whose terms a source is written: one of the image that leads out of it does so. */
  readonly follow: (path: string) => string;
}

/** The path in the container of a source that one of the earlier mounts covers, or lies in; undefined for any other. */
export function innerSource(
  source: string,
  earlier: readonly string[],
  { rootfs, given, follow }: Rootfs,
): string | undefined {
  if (earlier.length === 0) return undefined;
  const path = cleanPath(source);
  // Links above the rootfs, as /var/run is one, are no reason to miss it.
  if (!path.includes(`/${basename(given)}`) && !isAtOrBelow(path, rootfs)) return undefined;
  const found = follow(path);
  if (!isAtOrBelow(found, rootfs)) return undefined;
  const inner = (rootfs === "/" ? found : found.slice(rootfs.length)) || "/";
  const isShown = earlier.some((place) => isAtOrBelow(inner, place) || isAtOrBelow(place, inner));
  return isShown ? inner : undefined;
}

/** A source that is open, and what it needs to be there at its destination. */
export interface OpenedSource {
  readonly opened: Register;
  readonly kind: "directory" | "file";
}

/** What is not found in the mount itself. openFrom adds EXDEV, and the stub takes no more than three. */
const GONE = ["ENOENT", "ENOTDIR"];

/**
 * Opens such a source when its turn comes. What is in the earlier mounts belongs to others: a symbolic link there means the container's
 * root, where runc and crun follow it to the host. Only the mounts themselves can tell whether it is a directory, so all that
 * the program has so far is done first.
 */
export function openInnerSource(
  program: Program,
  plan: InitPlan,
  { source, inner = "/", pointer, destination, options }: SourceRequest,
): OpenedSource {
  program.about(`${pointer}/source`, `bind ${source} on ${destination}`);
  const flags = options.sourceNoFollow ? O_NOFOLLOW : 0;
  const [first, otherwise] = basesOf(plan, inner);
  const opened = openFrom(program, first, source, {
    flags,
    tolerate: otherwise === undefined ? [] : GONE,
  });
  if (otherwise !== undefined) {
    openFrom(program, otherwise, source, { flags, if: [opened, "failed"], into: opened });
  }
  const stat = program.output(statx.size);
  const index = program.outputs.indexOf(stat);
  program.do("statx", [opened, "", AT_EMPTY_PATH, STATX_TYPE, stat], { path: inner });
  const { outputs } = plan.runSoFar(program);
  program.about(pointer, `bind ${source} on ${destination}`);
  return { opened, kind: (typeIn(outputs[index]) & S_IFMT) === S_IFDIR ? "directory" : "file" };
}

function typeIn(stat: Uint8Array | undefined): number {
  if (stat === undefined) return 0;
  return new DataView(stat.buffer, stat.byteOffset).getUint16(statx.stx_mode, true);
}
