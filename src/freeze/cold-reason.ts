import { O_NONBLOCK, O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { FileError } from "../../bindings/linux/file-call.ts";
import { type FileStatus, fstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { closeSync, existsSync, openSync, readFileSync, readSync } from "../../bindings/linux/files.ts";
import { effectiveUid, environment } from "../../bindings/linux/own-process.ts";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { ANSWER_SPACE, isWarm } from "./await-thaw.ts";
import { decodeConditions, HEAD_SPACE, type ImageConditions } from "./image.ts";
import { bootId, fileIdentity, processorWords } from "./machine.ts";
import { imagePath, installationDirectory } from "./warm-image.ts";

export interface ColdReason {
  readonly text: string;
  /** Whether the image is the cause, so that a new one helps, which `runts warm` writes. */
  readonly isOfImage: boolean;
}

/** Why this process was not started from an image; undefined if it was. Repeats the launcher's checks in thaw.h. */
export function coldReason(): ColdReason | undefined {
  if (isWarm()) return undefined;
  if (environment("RUNTS_COLD")) return ofCaller("RUNTS_COLD is set");
  if (process.versions.bun === undefined) return ofCaller("there is no warm start in Node");
  if (process.arch !== "x64") return ofCaller(`there is no warm start on ${process.arch}`);
  const path = imagePath();
  if (!existsSync(path)) return ofImage(`there is no image: ${path}`);
  try {
    const image = openSync(path, O_RDONLY | O_NONBLOCK);
    try {
      return unfitness(image, path) ?? unfitCaller(image) ?? ofCaller(UNKNOWN);
    } finally {
      closeSync(image);
    }
  } catch (error) {
    // Such as a file that this user can't read, and so the launcher couldn't either.
    if (error instanceof FileError) return ofImage(error.message);
    throw error;
  }
}

function ofCaller(text: string): ColdReason {
  return { text, isOfImage: false };
}

function ofImage(text: string): ColdReason {
  return { text, isOfImage: true };
}

/** S_IWGRP and S_IWOTH: inode(7). */
const OTHERS_MAY_WRITE = 0o022;

/** For causes that can't be seen from here. */
const UNKNOWN =
  "the image fits, but what a warm start does was refused: by a limit (RLIMIT_AS), by a seccomp filter, since an address or a descriptor was taken, or since this program is privileged by its mode or capabilities";

function unfitness(image: number, path: string): ColdReason | undefined {
  const status = fstatSync(image);
  if (!status.isFile()) return ofImage(`${path} is not a regular file`);
  const distrusted = distrust(status, path);
  if (distrusted !== undefined) return ofImage(distrusted);
  const conditions = conditionsOf(image);
  if (conditions === undefined) return ofImage(`${path} is damaged, or of another version`);
  if (conditions.imageSize !== status.size) return ofImage(`${path} is truncated`);
  if (BigInt(conditions.modified) * 1_000_000_000n !== status.mtimeNs)
    return ofImage(`${path} has been changed since it was written`);
  const mismatched = mismatch(conditions);
  return mismatched === undefined ? undefined : ofImage(mismatched);
}

function conditionsOf(image: number): ImageConditions | undefined {
  const bytes = Buffer.alloc(HEAD_SPACE);
  return decodeConditions(bytes.subarray(0, readSync(image, bytes, 0, bytes.length, 0)));
}

/** Like is_trusted of launcher.c. */
function distrust({ uid, mode }: FileStatus, path: string): string | undefined {
  if ((mode & OTHERS_MAY_WRITE) !== 0) return `others may write ${path}`;
  const trusted = [0, effectiveUid(), statSync("/proc/self/exe").uid];
  return trusted.includes(uid) ? undefined : `${path} belongs to user ${uid}`;
}

function mismatch({ bootId: written, processor, files }: ImageConditions): string | undefined {
  if (written !== bootId()) return "the image is of another boot";
  for (const { path: recorded, identity } of files) {
    const path = recorded.startsWith("/") ? recorded : `${installationDirectory()}/${recorded}`;
    if (!existsSync(path)) return `${path} is missing`;
    if (fileIdentity(path).some((word, index) => word !== identity[index]))
      return `${path} has been replaced since the image was written`;
    if ((statSync(path).mode & OTHERS_MAY_WRITE) !== 0) return `others may write ${path}`;
  }
  if (processorWords("self").some((word, index) => word !== processor[index]))
    return "the image is of another processor";
  return undefined;
}

function unfitCaller(image: number): ColdReason | undefined {
  // Including the launcher's own variables, which it counts too.
  const given = readFileSync("/proc/self/cmdline").length + readFileSync("/proc/self/environ").length;
  if (given > ANSWER_SPACE) return ofCaller(`arguments and environment take more than ${ANSWER_SPACE} bytes`);
  const limit = prlimit(0, "RLIMIT_NOFILE").hard;
  const highest = Math.max(...(conditionsOf(image)?.descriptors ?? []).map(({ fd }) => fd));
  if (limit > BigInt(highest)) return undefined;
  return ofCaller(`the hard limit of open files, ${limit}, is below ${highest + 1}`);
}
