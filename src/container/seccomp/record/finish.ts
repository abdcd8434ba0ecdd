import { closeSync } from "../../../../bindings/linux/files.ts";
import { pidfdGetfd } from "../../../../bindings/linux/foreign-process.ts";
import { killProcess, openProcess } from "../../process/saved-process.ts";
import type { SavedRecorder } from "../../record/saved-state.ts";
import { readRecord } from "./bpf-recorder.ts";
import { writeProfileFile } from "./profile-file.ts";

/**
 * Writes the profile of a container that is being deleted, and ends the process that has held its recording. The processes of the container
 * must have ended. What fails is a warning: the container is deleted all the same.
 */
export function finishRecording(recorder: SavedRecorder, warn: (message: string) => void): void {
  const { pid, startTime, file } = recorder;
  try {
    const record = takeRecord(recorder);
    if (record === undefined)
      warn(`--seccomp-record: ${file} is not written: process ${pid}, which held the recording, has ended`);
    else if (!record.hasRun)
      warn(`--seccomp-record: ${file} is not written: the container has executed no program`);
    else writeProfileFile(recorder, record, recorder.noNewPrivileges, warn);
  } catch (error) {
    warn(`--seccomp-record: ${file} is not written: ${error instanceof Error ? error.message : error}`);
  } finally {
    killProcess(pid, startTime);
  }
}

/** Reads the maps of the holder; undefined if that has ended. */
function takeRecord({ pid, startTime, calls, values }: SavedRecorder) {
  const holder = openProcess(pid, startTime);
  if (holder === undefined) return undefined;
  const opened: number[] = [holder];
  const take = (descriptor: number) => {
    const taken = pidfdGetfd(holder, descriptor);
    opened.push(taken);
    return taken;
  };
  try {
    return readRecord({ calls: take(calls), values: take(values) });
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}
