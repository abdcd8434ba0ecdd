import { expect } from "vitest";
import type { Config, Hook } from "../config.ts";
import type { Container, CreateOptions } from "../container.ts";
import { expectRefusal, inOurWords } from "../refusal.ts";
import { IS_RUNTS } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

/** Annotations of crun. Their names begin with `run.oci.`. */

export const CLAUSE = "crun(1), Extensions to OCI";
export const PROMISE = "promise: an engine's user can't reach the host by an annotation";
export const IGNORED = "ignores annotations of crun";

export const STDOUT = "run.oci.hooks.stdout";
export const STDERR = "run.oci.hooks.stderr";
export const RECEIVER = "run.oci.seccomp.receiver";
export const PIDFD = "run.oci.pidfd_receiver";

/** runts wants the caller's word for annotations that name something of the host. */
export function allowing(...keys: string[]): CreateOptions {
  return IS_RUNTS ? { globals: keys.map((key) => `--allow-annotation=${key}`) } : {};
}

/** Gives a config these annotations. */
export function annotated(annotations: Record<string, string>, mutate?: (config: Config) => void) {
  return (config: Config): void => {
    config.annotations = annotations;
    mutate?.(config);
  };
}

/** A hook that prints these words, and those of `err` to stderr. */
export function sayingHook(out: string, err = ""): Hook {
  const script = `${out === "" ? "" : `echo ${out}`}${err === "" ? "" : `; echo ${err} >&2`}`;
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
}

/** `create` has to fail with these words, and to leave nothing. */
export async function expectNothingMade(
  sandbox: Sandbox,
  container: Container,
  words: string,
  options?: CreateOptions,
) {
  expectRefusal(await container.create(options), inOurWords(words));
  expect(await sandbox.traces()).toEqual([]);
}
