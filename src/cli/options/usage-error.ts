import { RuntsError } from "../../errors.ts";

/** A command line that can't be understood. `command` is the command whose help tells more, if one was recognised. */
export class UsageError extends RuntsError {
  readonly command: string | undefined;

  constructor(message: string, command?: string, exitCode = 1) {
    super(message, { operation: "usage", exitCode });
    this.name = "UsageError";
    this.command = command;
  }
}
