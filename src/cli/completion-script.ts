import { SIGHUP, SIGSYS, signalName } from "../../bindings/abi/signal.ts";
import type { CommandDescription, CommandTable } from "./description.ts";
import type { OptionDescription } from "./option.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/** A script for the shell, from the table of commands. */
export function completionScript(shell: Shell, table: CommandTable): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](table);
}

/** Options whose value is a path: the shell completes those. */
const FILE_OPTION = /^(bundle|config|log|root|file|process|resources|pid-file|.*-socket|.*-path|profile)$/;

function takesFile({ name, type }: OptionDescription): boolean {
  return type !== "boolean" && FILE_OPTION.test(name);
}

function takesContainer({ positionals }: CommandDescription): boolean {
  return positionals.usage.startsWith("<container-id>");
}

function optionWords(options: readonly OptionDescription[]): string[] {
  return options.map(({ name }) => `--${name}`);
}

/** Options that are followed by a word of their own. */
function valueOptions(options: readonly OptionDescription[]): string[] {
  return options
    .filter(({ type }) => type !== "boolean")
    .flatMap(({ name, alias }) => [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])]);
}

function fileOptions(options: readonly OptionDescription[]): string[] {
  return valueOptions(options.filter(takesFile));
}

/** Those without the real-time signals. */
const signals = Array.from({ length: SIGSYS }, (_, index) => signalName(SIGHUP + index));

/** One function: which word is the command, then what may stand at the place of the cursor. */
function bashScript({ commands, globalOptions }: CommandTable): string {
  const cases = commands.map((command) => {
    const { name, options } = command;
    const words = name === "completion" ? SHELLS.join(" ") : name === "kill" ? signals.join(" ") : "";
    return (
      `    ${name}) options="${optionWords(options).join(" ")}"; values="${valueOptions(options).join(" ")}"; ` +
      `files="${fileOptions(options).join(" ")}"; ids=${takesContainer(command) ? 1 : 0}; words="${words}" ;;`
    );
  });
  return `# bash completion for runts
_runts() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command="" root="" i place=0 skip=0
  local options="${optionWords(globalOptions).join(" ")}"
  local values="${valueOptions(globalOptions).join(" ")}"
  local files="${fileOptions(globalOptions).join(" ")}"
  local ids=0 words="${commands.map(({ name }) => name).join(" ")}"
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    local word=\${COMP_WORDS[i]}
    if ((skip)); then skip=0; continue; fi
    [[ $word == --root ]] && root=\${COMP_WORDS[i+1]}
    if [[ " $values " == *" $word "* ]]; then skip=1; continue; fi
    [[ $word == -* ]] && continue
    if [[ -n $command ]]; then place=$((place + 1)); continue; fi
    command=$word
    case $command in
${cases.join("\n")}
    *) return ;;
    esac
  done
  if [[ " $files " == *" $prev "* ]]; then COMPREPLY=($(compgen -f -- "$cur")); return; fi
  [[ " $values " == *" $prev "* ]] && return
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur")); return; fi
  if ((ids && place == 0)); then words=$(runts \${root:+--root "$root"} list --quiet 2>/dev/null); fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _runts runts
`;
}

/** zsh runs bash's function: the table is the same, and its descriptions are in the help. */
function zshScript(table: CommandTable): string {
  return `#compdef runts
autoload -U +X bashcompinit && bashcompinit
${bashScript(table)}
# Loaded as a function of the completion system: this is its first call.
[[ $funcstack[1] != _runts ]] || _bash_complete -F _runts
`;
}

function fishScript({ commands, globalOptions }: CommandTable): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const option = (condition: string, described: OptionDescription): string => {
    const { name, alias, type, description } = described;
    const short = alias === undefined ? "" : ` -s ${alias}`;
    const value = type === "boolean" ? "" : takesFile(described) ? " -r -F" : " -x";
    return `complete -c runts -n ${quote(condition)} -l ${name}${short}${value} -d ${quote(description)}`;
  };
  const lines = commands.flatMap((command) => {
    const { name, summary, options } = command;
    const inside = `__fish_seen_subcommand_from ${name}`;
    const words = name === "completion" ? SHELLS.join(" ") : name === "kill" ? signals.join(" ") : "";
    return [
      `complete -c runts -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
      ...options.map((each) => option(inside, each)),
      ...(takesContainer(command)
        ? [`complete -c runts -n ${quote(inside)} -a '(runts list --quiet 2>/dev/null)'`]
        : []),
      ...(words === "" ? [] : [`complete -c runts -n ${quote(inside)} -a ${quote(words)}`]),
    ];
  });
  return `# fish completion for runts
complete -c runts -f
${globalOptions.map((each) => option("__fish_use_subcommand", each)).join("\n")}
${lines.join("\n")}
`;
}
