import type { GlobalOptions } from "../context.ts";
import type { ExitStatus } from "../process/exit-status.ts";
import { withLockedContainer } from "./lock.ts";
import { type SavedState, writeState } from "./saved-state.ts";

/**
 * Notes in the record how init has ended, for `state`: the kernel forgets it with the last pidfd. Does nothing if the container has been
 * deleted meanwhile, even if another one has its id now. A failure is no error: the caller has the exit status.
 */
export function noteExit(
  context: GlobalOptions,
  { id, pid, startTime }: SavedState,
  exitStatus: ExitStatus,
): void {
  const isGone = () => undefined;
  try {
    withLockedContainer(
      context,
      id,
      ({ directory, saved }) => {
        if (saved.pid !== pid || saved.startTime !== startTime || saved.exitStatus !== undefined) return;
        writeState(directory, { ...saved, exitStatus });
      },
      { missing: isGone, damaged: isGone },
    );
  } catch (error) {
    context.log.debug(
      `the exit code of container ${id} is not noted: ${error instanceof Error ? error.message : error}`,
    );
  }
}
