/** Where the packages of Debian's releases come from, as of its next one, forky. The machine's own apt stays unchanged. */
import { existsSync } from "node:fs";
import { Missing, root, runIn } from "./machine.mjs";

/** Debian 13 and later have the first name. */
const keyrings = ["pgp", "gpg"].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`);

export function fromForky(attempt) {
  fromRelease("forky", attempt);
}

/**
 * Calls `attempt` with a line of sources.list(5), for one mirror of the machine after the other, until it returns no error text: not every
 * mirror has every release.
 */
export function fromRelease(release, attempt) {
  const keyring = keyrings.find((path) => existsSync(path));
  if (keyring === undefined) throw new Missing(`Debian's keyring is missing: ${keyrings.join(" or ")}`);
  const failures = [];
  for (const mirror of mirrorsOf(runIn(root, "apt-get", "update", "--print-uris"))) {
    const failure = attempt(`deb [signed-by=${keyring}] ${mirror} ${release} main`);
    if (failure === undefined) return;
    failures.push(`  ${mirror}: ${failure.trim()}`);
  }
  throw new Missing(
    [`no mirror in apt's sources gives Debian's release ${release}:`, ...failures].join("\n"),
  );
}

/** The mirrors in the output of `apt-get update --print-uris` that have whole releases, not only updates. */
export function mirrorsOf(uris) {
  const found = [...uris.matchAll(/^'([a-z+]+:\S+)\/dists\/[a-z]+\/InRelease'/gm)];
  return [...new Set(found.map(([, mirror]) => mirror))];
}
