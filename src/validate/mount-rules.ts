import { lstatSync, statSync } from "node:fs";
import { type MountInfo, mountsOf } from "../../bindings/linux/mount-info.ts";
import { errorCode } from "../errors.ts";
import { bindSource, type ContainerView, isShownByEarlier, showsLink } from "../inspect/container-view.ts";
import { cleanPath, isAtOrBelow } from "../plan/rootfs-paths.ts";
import { isBind } from "../spec/bind-mount.ts";
import type { Config, Mount } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";

/** Reports what is valid in `mounts`, but probably a mistake. */
export function mountRules(config: Config, bundle: string, view: ContainerView, tell: Tell): void {
  const mounts = config.mounts ?? [];
  const places = mounts.map(({ destination }) => cleanPath(destination));
  mounts.forEach((mount, index) => {
    hidden(mounts, places, index, tell);
    if (!isBind(mount)) return;
    const source = bindSource(mount, bundle);
    if (!isShownByEarlier(config, bundle, index)) missingSource(mount, source, index, tell);
    const isHiddenLater = (path: string) =>
      places.some((place, at) => at > index && isAtOrBelow(path, place) && !isRemount(mounts[at]));
    writableBelow(mount, source, { index, isHiddenLater }, tell);
  });
  hiddenPaths(config, view, tell);
}

/** Mounts are made in the listed order (config.md, Mounts): a later one at or above a destination hides the earlier one. */
function hidden(mounts: readonly Mount[], places: readonly string[], index: number, tell: Tell): void {
  if (isRemount(mounts[index])) return;
  const destination = places[index] ?? "";
  const later = places.findIndex(
    (place, at) => at > index && isAtOrBelow(destination, place) && !isRemount(mounts[at]),
  );
  if (later < 0) return;
  const by = `the later mount on ${places[later]} (/mounts/${later})`;
  tell(
    warning(
      "hidden-mount",
      `/mounts/${index}`,
      `${destination} is hidden by ${by}`,
      "list it after that, or leave it out",
    ),
  );
}

function isRemount(mount: Mount | undefined): boolean {
  return mount?.options?.includes("remount") === true;
}

/** A relative source is part of the bundle and must exist; an absolute one is the host's, and judged by hostRules. */
function missingSource(mount: Mount, path: string, index: number, tell: Tell): void {
  const { source = "" } = mount;
  if (source.startsWith("/") || source === "" || sourceExists(mount, path)) return;
  tell(failure("source-missing", `/mounts/${index}/source`, `${path} does not exist`));
}

/** `ro` applies to the topmost mount of an rbind only: mount_setattr(2). Mounts below that a later mount covers are out of reach. */
function writableBelow(
  { options = [], destination }: Mount,
  source: string,
  { index, isHiddenLater }: { readonly index: number; readonly isHiddenLater: (path: string) => boolean },
  tell: Tell,
): void {
  if (!options.includes("rbind") || !options.includes("ro") || options.includes("rro")) return;
  const writable = writableMountsBelow(source)
    .map((point) => cleanPath(`${destination}/${point.slice(source.length)}`))
    .filter((path) => !isHiddenLater(path));
  const [first] = writable;
  if (first === undefined) return;
  const others = writable.length > 1 ? ` and ${writable.length - 1} more below` : "";
  const message = `${first}${others === "" ? " stays" : `${others} stay`} writable: ro is for the topmost mount only`;
  tell(
    warning(
      "ro-not-recursive",
      `/mounts/${index}/options/${options.indexOf("ro")}`,
      message,
      'say "rro" for all of them',
    ),
  );
}

function writableMountsBelow(source: string): string[] {
  const base = source === "/" ? "/" : `${source}/`;
  return ownMounts()
    .filter(({ point, options }) => point !== source && point.startsWith(base) && options.includes("rw"))
    .map(({ point }) => point);
}

function ownMounts(): MountInfo[] {
  try {
    return mountsOf("self");
  } catch {
    return [];
  }
}

/** Paths in procfs and sysfs may be missing: they differ by kernel, and the usual lists name those of all kernels. */
function hiddenPaths({ linux }: Config, view: ContainerView, tell: Tell): void {
  for (const name of ["maskedPaths", "readonlyPaths"] as const) {
    (linux?.[name] ?? []).forEach((path, index) => {
      if (/^\/(?:proc|sys)(?:\/|$)/.test(path)) return;
      const seen = view.look(path);
      if (seen.is !== "missing") return;
      const message = `${path} is not in the container (${seen.in}): there is nothing to hide or protect`;
      tell(warning("path-missing", `/linux/${name}/${index}`, message));
    });
  }
}

/** Whether the source of a bind mount exists. Options of crun show a symbolic link itself, whose target may be missing. */
export function sourceExists(mount: Mount, path: string): boolean {
  return exists(path, showsLink(mount) ? lstatSync : statSync);
}

export function exists(path: string, look: (path: string) => unknown = statSync): boolean {
  try {
    look(path);
    return true;
  } catch (error) {
    return errorCode(error) === "EACCES";
  }
}
