/** The same as in package.json; a constant so that `--version` reads no file. */
export const version = "0.1.0";

/** The version of the OCI runtime spec that is implemented, and that `spec` writes. */
export const specVersion = "1.3.0";

/** Set by the bundler (`--define RUNTS_COMMIT='"…"'`), not declared when the sources run unbundled. */
declare const RUNTS_COMMIT: string | undefined;

/**
 * What `--version` prints, shaped for its readers:
 * - dockerd takes what stands before and after the word "version" in any line, and the commit from `commit:`. So the
 *   word stands in the first line alone.
 * - go-runc (containerd) gives an empty version, without an error, unless the first line begins `runc version `. That
 *   is better than to look like a runc of this number, which scanners and engines would take for an ancient one.
 * - podman and CRI-O show the text as it is.
 */
export function versionText(): string {
  const commit = typeof RUNTS_COMMIT === "string" ? `commit: ${RUNTS_COMMIT}\n` : "";
  return `runts version ${version}\n${commit}spec: ${specVersion}\n`;
}
