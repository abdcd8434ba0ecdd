import { AT_EMPTY_PATH, O_NOFOLLOW, S_IFDIR, S_IFMT, STATX_TYPE } from "../../../bindings/abi/fcntl.ts";
import { statx } from "../../../bindings/abi/layouts.ts";
import { absolutePath, basename, dirname } from "../../../bindings/linux/paths.ts";
import type { Program, Register } from "../../../bindings/stub/program.ts";
import type { InitPlan } from "../init-plan.ts";
import { cleanPath, isAtOrBelow } from "../rootfs-paths.ts";
import { basesOf, openFrom } from "./made-mounts.ts";
import type { MountOptions } from "./options.ts";

/**
 * Sources of bind mounts that lie in earlier mounts of the same config. If an earlier entry mounts something on /a, the source "rootfs/a"
 * means that mount, not the directory of the host below it. config.md, Mounts: "The runtime MUST mount entries in the listed order."
 */

/** The parts of a MountRequest that tell where its source is. */
export interface SourceRequest {
  readonly pointer: string;
  readonly destination: string;
  readonly options: MountOptions;
  readonly source: string;
  readonly link: string | undefined;
  /** Path in the container of a source that an earlier mount covers or lies below. */
  inner?: string;
}

/** Whether the request binds a source: it is a bind mount, and neither a remount nor a symbolic link made in its place. */
export function isMadeOfSource({ options, link }: Pick<SourceRequest, "options" | "link">): boolean {
  return options.bind && !options.remount && link === undefined;
}

/** Sets `inner` of each request whose source lies in an earlier mount. Looks at the host only for sources that may be below the rootfs. */
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

/** Absolute path of the rootfs as the config writes it, symbolic links included: sources are written with it. */
export function rootAsGiven(path: string, bundle: string): string {
  return absolutePath(path.startsWith("/") ? path : `${bundle}/${path}`);
}

interface Rootfs {
  /** Without symbolic links. */
  readonly rootfs: string;
  readonly given: string;
  /** Follows symbolic links as the host does. A source is a path on the host, so a link of the image may lead out of the rootfs. */
  readonly follow: (path: string) => string;
}

/** Path in the container of a source that an earlier mount covers or lies below; undefined for any other source. */
export function innerSource(
  source: string,
  earlier: readonly string[],
  { rootfs, given, follow }: Rootfs,
): string | undefined {
  if (earlier.length === 0) return undefined;
  const path = cleanPath(source);
  // Links above the rootfs, such as /var/run, may lead to it, so only the last name of its path is compared.
  if (!path.includes(`/${basename(given)}`) && !isAtOrBelow(path, rootfs)) return undefined;
  const found = follow(path);
  if (!isAtOrBelow(found, rootfs)) return undefined;
  const inner = (rootfs === "/" ? found : found.slice(rootfs.length)) || "/";
  const isShown = earlier.some((place) => isAtOrBelow(inner, place) || isAtOrBelow(place, inner));
  return isShown ? inner : undefined;
}

/** An opened source, and the kind of mount point that it needs. */
export interface OpenedSource {
  readonly opened: Register;
  readonly kind: "directory" | "file";
}

/** Errors of a path that doesn't exist in the mount. openFrom adds EXDEV; the stub tolerates at most three. */
const GONE = ["ENOENT", "ENOTDIR"];

/**
 * Opens a source that lies in an earlier mount. The content of earlier mounts is untrusted, so their symbolic links are resolved in the
 * container's root (runc and crun follow them to the host). Only once those mounts exist can the runtime tell whether the source is a
 * directory, so the program so far runs first.
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
