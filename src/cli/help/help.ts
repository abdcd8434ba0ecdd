import yargs, { type Argv } from "yargs";
import type { CommandDescription, Manual } from "../command.ts";
import { globalOptions } from "../options/global-options.ts";
import type { OptionTable } from "../options/option.ts";
import { programManual } from "./program.ts";

const WIDTH = 100;

/** The help of the whole program. */
export function programHelp(commands: readonly CommandDescription[]): Promise<string> {
  const parser = newParser()
    .usage("runts [global options] <command> [options] [arguments]\n\nAn OCI container runtime.")
    .epilogue(
      "`runts <command> --help` shows the options of a command, `runts man <command>` its manual page.",
    );
  for (const { name, positionals, summary } of commands)
    parser.command(`${name} ${positionals.usage}`.trimEnd(), summary);
  return layOut(parser, programManual, globalOptions);
}

/** The help of one command. */
export function commandHelp(command: CommandDescription): Promise<string> {
  const { name, summary, positionals, options } = command;
  const parser = newParser().usage(
    `${`runts ${name} [options] ${positionals.usage}`.trimEnd()}\n\n${summary}`,
  );
  return layOut(parser, command, options);
}

/** yargs lays out the help; it does not parse. */
function newParser(): Argv {
  return yargs([]).scriptName("runts").detectLocale(false).help(false).version(false).wrap(WIDTH);
}

async function layOut(parser: Argv, { examples }: Manual, options: OptionTable): Promise<string> {
  for (const [line, meaning] of examples) parser.example(line, meaning);
  for (const [name, option] of Object.entries(options)) {
    parser.option(name, {
      type: option.type === "list" ? "array" : option.type,
      description: option.description,
      ...(option.alias !== undefined && { alias: option.alias }),
      ...(option.default !== undefined && { default: option.default }),
    });
  }
  return `${(await parser.getHelp()).trimEnd()}\n`;
}
