import { F_DUPFD_CLOEXEC } from "../../../../bindings/abi/fcntl.ts";
import { PR_SET_NAME } from "../../../../bindings/abi/prctl.ts";
import { watchDeletion } from "../../../../bindings/linux/inotify.ts";
import { OwnedDescriptor } from "../../../../bindings/linux/owned-descriptor.ts";
import { waitReadable } from "../../../../bindings/linux/poll.ts";
import { killAndReap } from "../../../../bindings/linux/reap.ts";
import {
  ANSWER_TIMEOUT_S,
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  spawnStub,
} from "../../../../bindings/stub/client.ts";
import { data } from "../../../../bindings/stub/program.ts";
import { RuntsError } from "../../../errors.ts";
import { runProgram } from "../../../init/run-program.ts";
import { startTimeOf } from "../../process/process-status.ts";
import type { SavedProcess } from "../../record/saved-state.ts";
import type { BpfRecorder, RecordedMaps } from "./bpf-recorder.ts";

/** Its comm, proc_pid_comm(5). */
const HOLDER_NAME = "runts-recorder";
/** Descriptors of the holder are numbers from here on; those of the stub that it was are lower, and are closed. */
const FIRST_NUMBER = 64;

/** A holder, and its descriptors of the maps. */
export type Holder = SavedProcess & RecordedMaps;

/**
 * Leaves a recording to a process of its own, which holds its descriptors until the container is deleted: `delete` takes them from there.
 * It is a stub of less than 3 KB in a session of its own, outside of the container and its cgroup, with none of the caller's descriptors. It waits
 * for the deletion of the container's directory, and so ends also if that is removed by any other means.
 */
export function holdRecorder({ maps, link }: Pick<BpfRecorder, "maps" | "link">, directory: string): Holder {
  const image = new OwnedDescriptor(openStubImage());
  const [ours, theirs] = channelPair();
  const channel = new StubChannel(ours);
  const stubsEnd = new OwnedDescriptor(theirs);
  const opened = [image, stubsEnd];
  let pid: number | undefined;
  try {
    const deletion = new OwnedDescriptor(watchDeletion(directory));
    opened.push(deletion);
    keepOnExec(theirs);
    pid = spawnStub(image.number, theirs);
    // Else the holder's end would not show.
    stubsEnd.close();
    const numbers = becomeHolder(channel, [maps.calls, maps.values, link, deletion.number]);
    const [calls = -1, values = -1, , waited = -1] = numbers;
    awaitDeletion(channel, waited, numbers);
    return { pid, startTime: startTimeOf(pid), calls, values };
  } catch (error) {
    if (pid !== undefined) killAndReap(pid, "end the process that should have held the recording");
    throw error;
  } finally {
    for (const descriptor of opened) descriptor.close();
    channel.close();
  }
}

/** Makes the stub a holder of descriptors. Returns their numbers there. */
function becomeHolder(channel: StubChannel, descriptors: readonly number[]): readonly number[] {
  const program = channel.program();
  program.about("", "prepare the process that holds the recording of system calls");
  program.do("setsid", []);
  program.do("chdir", ["/"]);
  program.do("prctl", [PR_SET_NAME, HOLDER_NAME, 0, 0, 0]);
  const kept = descriptors.map((descriptor) =>
    program.call("fcntl", [program.descriptor(descriptor), F_DUPFD_CLOEXEC, FIRST_NUMBER]),
  );
  const first = program.operations.length - kept.length;
  const { results } = runProgram(channel, program);
  return kept.map((_, place) => results[first + place] ?? -1);
}

/** Makes the holder close all other descriptors, the channel included, and wait. Returns once they are closed. */
function awaitDeletion(channel: StubChannel, deletion: number, kept: readonly number[]): void {
  const program = channel.program();
  program.quiet = true;
  program.about("", "hold the recording of system calls until the container is deleted");
  for (const [first, last] of rangesAround(kept)) program.do("close_range", [first, last, 0]);
  const event = data(new Uint8Array(64));
  program.do("read", [deletion, event, event.bytes.length]);
  channel.send(program);
  if (waitReadable(channel.descriptor, ANSWER_TIMEOUT_S * 1000)) return;
  throw new RuntsError("the process that holds the recording has not got ready in time", {
    operation: "seccomp-record",
    errno: "ETIMEDOUT",
  });
}

/**
 * Returns the ranges of numbers outside of `kept`, the highest first, since the channel is in the lowest. What the caller's process has
 * inherited may also lie between the kept ones: an engine waits for the end of such a pipe.
 */
function rangesAround(kept: readonly number[]): (readonly [first: number, last: number])[] {
  const falling = kept.toSorted((a, b) => b - a);
  const ranges = [0xffffffff, ...falling.map((number) => number - 1)].map(
    (last, place) => [(falling[place] ?? -1) + 1, last] as const,
  );
  return ranges.filter(([first, last]) => first <= last);
}
