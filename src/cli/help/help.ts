import yargs, { type Argv } from "yargs";
import { commands } from "../commands.ts";
import type { CommandDescription } from "../options/description.ts";
import { globalOptions } from "../options/global-options.ts";
import type { OptionDescription } from "../options/option.ts";
import { type ManualEntry, manual, programManual } from "./manual.ts";

const WIDTH = 100;

/** The help of one command, or of the whole program. yargs lays it out; it is loaded for nothing else. */
export async function helpText(command: CommandDescription | undefined): Promise<string> {
  const parser = yargs([]).scriptName("runts").detectLocale(false).help(false).version(false).wrap(WIDTH);
  const described = command === undefined ? describeProgram(parser) : describeCommand(parser, command);
  return `${(await described.getHelp()).trimEnd()}\n`;
}

function describeProgram(parser: Argv): Argv {
  const usage = parser
    .usage("runts [global options] <command> [options] [arguments]\n\nAn OCI container runtime.")
    .epilogue(
      "`runts <command> --help` shows the options of a command, `runts man <command>` its manual page.",
    );
  for (const command of commands) {
    usage.command(`${command.name} ${command.positionals.usage}`.trimEnd(), command.summary);
  }
  return describeOptions(describeExamples(usage, programManual), globalOptions);
}

function describeCommand(parser: Argv, command: CommandDescription): Argv {
  const { name, summary, positionals } = command;
  const usage = parser.usage(
    `runts ${name} [options] ${positionals.usage}`.trimEnd().concat(`\n\n${summary}`),
  );
  return describeOptions(describeExamples(usage, manual[name]), command.options);
}

function describeExamples(parser: Argv, entry: ManualEntry | undefined): Argv {
  for (const [line, meaning] of entry?.examples ?? []) parser.example(line, meaning);
  return parser;
}

function describeOptions(parser: Argv, options: readonly OptionDescription[]): Argv {
  for (const option of options) {
    parser.option(option.name, {
      type: option.type === "list" ? "array" : option.type,
      description: option.description,
      ...(option.alias !== undefined && { alias: option.alias }),
      ...(option.default !== undefined && { default: option.default }),
    });
  }
  return parser;
}
