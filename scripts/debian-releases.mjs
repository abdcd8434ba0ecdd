/** Packages and root file systems of Debian's releases, such as its next one, forky. The machine's own apt stays unchanged. */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { Missing, root, runIn } from "./machine.mjs";

/** Debian 13 and later have the first name. */
const keyrings = ["pgp", "gpg"].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`);

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

/** What `bootstrap` needs. */
export const mmdebstrap = {
  name: "mmdebstrap",
  program: "mmdebstrap",
  needed: true,
  why: "makes root file systems of Debian",
};

/** Makes a root file system of a release in `folder`. `words` are options of mmdebstrap, and `env` the variables of its hooks. */
export function bootstrap(release, folder, words, env = {}) {
  // The machine's settings for mirrors, such as a proxy.
  const settings = `${folder}.apt.conf`;
  writeFileSync(settings, mirrorSettings(runIn(root, "apt-config", "dump")));
  const fixed = ["--quiet", "--mode=root", "--format=directory", `--aptopt=${settings}`];
  fromRelease(release, (source) => {
    rmSync(folder, { recursive: true, force: true });
    const done = spawnSync("mmdebstrap", [...fixed, ...words, release, folder, source], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    return done.status === 0 ? undefined : done.stderr;
  });
  rmSync(settings);
}

/** How the machine's apt reaches mirrors and judges their dates, of the output of `apt-config dump`. */
export function mirrorSettings(dump) {
  const lines = dump.split("\n").filter((line) => /^Acquire::(https?|Check-|Retries\b)/i.test(line));
  return lines.map((line) => `${line}\n`).join("");
}

/** Releases change: a root file system is made anew after so many days. */
const DAYS = 7;

/** The record of a root file system, `{ packages, date }`, says what is installed and since when. Whether it has exactly these packages. */
export function fits(present, wanted) {
  return present !== undefined && present.packages.join(" ") === wanted.join(" ");
}

export function isOld(present, now = Date.now()) {
  return now - Date.parse(present.date) > DAYS * 24 * 3600_000;
}
