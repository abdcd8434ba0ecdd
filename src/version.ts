/** The version in package.json, as a constant so that `--version` reads no file. */
export const version = "1.0.0-rc.1";

/** The version of the OCI runtime spec that is implemented, and that `spec` writes. */
export const specVersion = "1.3.0";

/** Defined by the bundler (`--define RUNTS_COMMIT='"…"'`), undeclared if the sources run unbundled. */
declare const RUNTS_COMMIT: string | undefined;

/** The commit that the program was built from; undefined if the build did not know it. */
export const commit = typeof RUNTS_COMMIT === "string" ? RUNTS_COMMIT : undefined;

/**
 * The output of `--version`, as engines parse it:
 * - dockerd takes the text before and after the word "version" in any line, and the commit from `commit:`. So the word must be in the
 *   first line only.
 * - go-runc (containerd) reports an empty version, without an error, unless the first line begins with `runc version `. That is better
 *   than looking like a runc of this number, which scanners and engines would take for an ancient one.
 * - podman and CRI-O show the text as it is.
 */
export function versionText(): string {
  const commitLine = commit === undefined ? "" : `commit: ${commit}\n`;
  return `runts version ${version}\n${commitLine}spec: ${specVersion}\n`;
}
