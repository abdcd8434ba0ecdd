import type { Command } from "./command.ts";
import { checkpointCommand } from "./commands/checkpoint.ts";
import { completionCommand } from "./commands/completion.ts";
import { createCommand } from "./commands/create.ts";
import { deleteCommand } from "./commands/delete.ts";
import { devicesCommand } from "./commands/devices.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { eventsCommand } from "./commands/events.ts";
import { execCommand } from "./commands/exec.ts";
import { explainCommand } from "./commands/explain.ts";
import { featuresCommand } from "./commands/features.ts";
import { killCommand } from "./commands/kill.ts";
import { listCommand } from "./commands/list.ts";
import { manCommand } from "./commands/man.ts";
import { mountsCommand } from "./commands/mounts.ts";
import { pauseCommand } from "./commands/pause.ts";
import { psCommand } from "./commands/ps.ts";
import { reportCommand } from "./commands/report.ts";
import { restoreCommand } from "./commands/restore.ts";
import { resumeCommand } from "./commands/resume.ts";
import { runCommand } from "./commands/run.ts";
import { sandboxCommand } from "./commands/sandbox.ts";
import { seccompCommand } from "./commands/seccomp.ts";
import { specCommand } from "./commands/spec.ts";
import { startCommand } from "./commands/start.ts";
import { stateCommand } from "./commands/state.ts";
import { updateCommand } from "./commands/update.ts";
import { validateCommand } from "./commands/validate.ts";
import { waitCommand } from "./commands/wait.ts";
import { warmCommand } from "./commands/warm.ts";

/** All commands, in the order in which help and man pages list them. A new command is a module in commands/ and an entry here. */
export const commands: readonly Command[] = [
  checkpointCommand,
  completionCommand,
  createCommand,
  deleteCommand,
  devicesCommand,
  doctorCommand,
  eventsCommand,
  execCommand,
  explainCommand,
  featuresCommand,
  killCommand,
  listCommand,
  manCommand,
  mountsCommand,
  pauseCommand,
  psCommand,
  reportCommand,
  restoreCommand,
  resumeCommand,
  runCommand,
  sandboxCommand,
  seccompCommand,
  specCommand,
  startCommand,
  stateCommand,
  updateCommand,
  validateCommand,
  waitCommand,
  warmCommand,
];
