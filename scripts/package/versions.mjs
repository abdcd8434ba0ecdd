/** The version of package.json as Debian and RPM write it. */

/**
 * A pre-release sorts before its release: semver marks it by `-`, dpkg and rpm by `~`. Neither `-` nor `+` may be in what follows, since
 * both have a meaning of their own there.
 */
export function upstreamVersion(version) {
  const found = /^(\d+\.\d+\.\d+)(?:-([0-9A-Za-z.]+))?$/.exec(version);
  if (found === null) throw new Error(`packages can't have the version ${version}`);
  const [, release, preRelease] = found;
  return preRelease === undefined ? release : `${release}~${preRelease}`;
}
