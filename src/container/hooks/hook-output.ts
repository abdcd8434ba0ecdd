import {
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
} from "../../../bindings/abi/fcntl.ts";
import { fstatSync, lstatSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync, readSync, writeSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { type AllowedAnnotations, annotationPointer } from "../../spec/annotations.ts";

/**
 * crun's annotations `run.oci.hooks.stdout` and `run.oci.hooks.stderr`: files of the host that get the output of hooks.
 *
 * No hook holds a descriptor of such a file, since some hooks run in the container, where /proc/PID/fd would open it again with other
 * rights. The runtime appends what a hook has written when the hook has ended.
 */
const KEYS = { stdout: "run.oci.hooks.stdout", stderr: "run.oci.hooks.stderr" } as const;

/** Bytes that are copied at once. */
const CHUNK = 64 * 1024;

/**
 * Bytes of one stream of one hook that are appended at most. A startContainer hook is a program of the rootfs, and ftruncate(2) gives its
 * output any size at no cost: the host's file would grow by as much, while the container is locked.
 */
const MOST = 1024 * 1024;

/** Opens the files, and makes those that are missing: a file that can't be written to is an error before a hook runs. */
export function checkHookOutput(allowed: AllowedAnnotations): void {
  for (const key of Object.values(KEYS)) {
    const path = allowed[key];
    if (path !== undefined) closeSync(openOutput(path, key));
  }
}

/** Appends what a hook has written to `stdout` and `stderr`, which are memory files. */
export function appendHookOutput(
  allowed: AllowedAnnotations,
  streams: { readonly stdout: number; readonly stderr: number },
): void {
  for (const name of ["stdout", "stderr"] as const) {
    const key = KEYS[name];
    const path = allowed[key];
    if (path !== undefined) append(path, key, streams[name]);
  }
}

function append(path: string, key: string, from: number): void {
  const { size } = fstatSync(from);
  if (size === 0) return;
  const to = openOutput(path, key);
  try {
    onBehalfOf(annotationPointer(key), `append the hook's output to ${path}`, () => {
      copy(from, to, Math.min(size, MOST));
      if (size > MOST) writeAll(to, new TextEncoder().encode(`\n${truncationNote(size)}\n`));
    });
  } finally {
    closeSync(to);
  }
}

/** Copies as many bytes as there were: a process that the hook has left behind may go on writing. */
function copy(from: number, to: number, size: number): void {
  const buffer = new Uint8Array(CHUNK);
  for (let position = 0; position < size; ) {
    const length = readSync(from, buffer, 0, Math.min(CHUNK, size - position), position);
    if (length === 0) return;
    writeAll(to, buffer.subarray(0, length));
    position += length;
  }
}

function writeAll(to: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(to, bytes, written);
}

function truncationNote(size: number): string {
  return `runts: the output of this hook is truncated: ${size} bytes, of which the first ${MOST} are kept`;
}

/** A link in the last place may have been put there by somebody else, and a fifo or a device would hold the runtime up. */
function openOutput(path: string, key: string): number {
  const pointer = annotationPointer(key);
  return onBehalfOf(pointer, `open ${path} for the output of hooks`, () => {
    const before = lstatSync(path, { throwIfNoEntry: false });
    if (before !== undefined && !before.isFile()) throw notAFile(path, pointer);
    const flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const fd = openSync(path, flags, 0o600);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    throw notAFile(path, pointer);
  });
}

function notAFile(path: string, pointer: string): RuntsError {
  return new RuntsError(`${pointer}: ${path} is not a regular file`, { operation: "open", path, pointer });
}
