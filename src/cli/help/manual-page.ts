import { version } from "../../version.ts";
import type { CommandDescription, CommandTable } from "../options/description.ts";
import type { OptionDescription } from "../options/option.ts";
import { type ManualEntry, manual, programManual } from "./manual.ts";

/** A page in the man macros, which troff and mandoc read: of one command, or of the whole program. man(7) */
export function manualPage(command: CommandDescription | undefined, table: CommandTable): string {
  const lines = command === undefined ? programPage(table) : commandPage(command);
  return `${lines.join("\n")}\n`;
}

function programPage({ commands, globalOptions }: CommandTable): string[] {
  return [
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
  ];
}

function commandPage({ name, summary, positionals, options }: CommandDescription): string[] {
  const entry = manual[name];
  return [
    ...heading(`runts-${name}`, summary),
    ...section("SYNOPSIS", [`${bold(`runts ${name}`)} [${italic("options")}] ${roff(positionals.usage)}`]),
    ...(entry === undefined ? [] : described(entry)),
    ".SH OPTIONS",
    ...optionList(options),
    ...(entry === undefined ? [] : [...exitStatus(entry), ...examples(entry)]),
    ...section("SEE ALSO", ["runts(8)"]),
  ];
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

function described({ description }: ManualEntry): string[] {
  return [".SH DESCRIPTION", ...description.flatMap((text) => [".PP", roff(text)]).slice(1)];
}

function optionList(options: readonly OptionDescription[]): string[] {
  return options.flatMap((option) => {
    const { name, alias, type, description } = option;
    const names = [...(alias === undefined ? [] : [`-${alias}`]), `--${name}`].map(bold).join(", ");
    const value = type === "boolean" ? "" : ` ${italic(type === "number" ? "number" : "value")}`;
    const standard = option.default === undefined ? "" : ` (${option.default} by default)`;
    return [".TP", `${names}${value}`, roff(`${description}${standard}`)];
  });
}

function exitStatus({ exitStatus: codes = [] }: ManualEntry): string[] {
  if (codes.length === 0) return [];
  return [".SH EXIT STATUS", ...codes.flatMap(([code, meaning]) => [".TP", bold(code), roff(meaning)])];
}

function examples(entry: ManualEntry): string[] {
  return [".SH EXAMPLES", ...entry.examples.flatMap(([line, meaning]) => [".TP", bold(line), roff(meaning)])];
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${roff(text)}\\fR`;
}

/** A backslash, a quote or dash that is meant as typed, and a control character at the start of a line. groff_char(7) */
function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/'/g, "\\(aq")
    .replace(/`([^`]*)`/g, "\\fB$1\\fR")
    .replace(/^\./, "\\&.");
}
