import { version } from "../../version.ts";
import type { CommandDescription, Manual } from "../command.ts";
import { globalOptions } from "../options/global-options.ts";
import type { OptionTable } from "../options/option.ts";
import { programManual } from "./program.ts";

/** The manual page of the whole program, in the man macros, which troff and mandoc read. man(7) */
export function programPage(commands: readonly CommandDescription[]): string {
  return textOf([
    ...heading("runts", "OCI container runtime"),
    ...section("SYNOPSIS", [
      `${bold("runts")} [${italic("global options")}] ${italic("command")} [${italic("options")}] [${italic("arguments")}]`,
    ]),
    ...described(programManual),
    ".SH COMMANDS",
    ...commands.flatMap(({ name, summary }) => [".TP", `${bold(`runts-${name}`)}(8)`, roff(summary)]),
    ".SH GLOBAL OPTIONS",
    ...optionList(globalOptions),
    ...exitStatus(programManual),
    ".SH FILES",
    ...programManual.files.flatMap(([path, meaning]) => [".TP", italic(path), roff(meaning)]),
    ...examples(programManual),
    ...section("SEE ALSO", ["runc(8), crun(1), podman(1), cgroups(7), namespaces(7), user_namespaces(7)"]),
  ]);
}

/** The manual page of one command. */
export function manualPage(command: CommandDescription): string {
  const { name, summary, positionals, options } = command;
  return textOf([
    ...heading(`runts-${name}`, summary),
    ...section("SYNOPSIS", [`${bold(`runts ${name}`)} [${italic("options")}] ${roff(positionals.usage)}`]),
    ...described(command),
    ".SH OPTIONS",
    ...optionList(options),
    ...exitStatus(command),
    ...examples(command),
    ...section("SEE ALSO", ["runts(8)"]),
  ]);
}

function textOf(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}

function heading(name: string, summary: string): string[] {
  return [
    `.TH ${name.toUpperCase()} 8 "" "runts ${version}" "System Administration"`,
    ...section("NAME", [`${roff(name)} \\- ${roff(summary)}`]),
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return [`.SH ${title}`, ...lines];
}

function described({ description }: Manual): string[] {
  return [".SH DESCRIPTION", ...description.flatMap((text) => [".PP", roff(text)]).slice(1)];
}

function optionList(options: OptionTable): string[] {
  return Object.entries(options).flatMap(([name, option]) => {
    const { alias, type, description } = option;
    const names = [...(alias === undefined ? [] : [`-${alias}`]), `--${name}`].map(bold).join(", ");
    const value = type === "boolean" ? "" : ` ${italic(type === "number" ? "number" : "value")}`;
    const standard = option.default === undefined ? "" : ` (${option.default} by default)`;
    return [".TP", `${names}${value}`, roff(`${description}${standard}`)];
  });
}

function exitStatus({ exitStatus: codes = [] }: Manual): string[] {
  if (codes.length === 0) return [];
  return [".SH EXIT STATUS", ...codes.flatMap(([code, meaning]) => [".TP", bold(code), roff(meaning)])];
}

function examples(entry: Manual): string[] {
  return [".SH EXAMPLES", ...entry.examples.flatMap(([line, meaning]) => [".TP", bold(line), roff(meaning)])];
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${roff(text)}\\fR`;
}

/** Escapes backslashes, quotes and dashes to be printed as typed, and a dot at the start of a line. groff_char(7) */
function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/'/g, "\\(aq")
    .replace(/`([^`]*)`/g, "\\fB$1\\fR")
    .replace(/^\./, "\\&.");
}
