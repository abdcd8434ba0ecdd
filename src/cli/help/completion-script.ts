import { SIGHUP, SIGSYS, signalName } from "../../../bindings/abi/signal.ts";
import type { CommandDescription, CommandTable } from "../options/description.ts";
import type { OptionDescription } from "../options/option.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/** A script for the shell, from the table of commands. */
export function completionScript(shell: Shell, table: CommandTable): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](table);
}

/** Options whose value is a path: the shell completes those. */
const FILE_OPTION =
  /^(bundle|config|criu|log|root|file|process|resources|pid-file|.*-socket|.*-path|profile)$/;

function takesFile({ name, type }: OptionDescription): boolean {
  return type !== "boolean" && FILE_OPTION.test(name);
}

/** Places of arguments whose words only the shell or the runtime can tell. */
const FILES = "@files";
const IDS = "@ids";

/** What may stand at each place behind the command, by its usage: words, FILES, IDS, or nothing for what can't be told. */
function placesOf({ positionals }: CommandDescription, { commands }: CommandTable): string[] {
  const places = positionals.usage.match(/<[^>]+>|\[[^\]]+\]+|\S+/g) ?? [];
  return places.map((place) => {
    switch (place.replace(/^[<[](.*)[\]>]$/, "$1")) {
      case "container-id":
        return IDS;
      case "file":
        return FILES;
      case "signal":
        return signals.join(" ");
      case "command":
        return commands.map(({ name }) => name).join(" ");
      default:
        return /^[a-z|]+$/.test(place) ? place.replaceAll("|", " ") : "";
    }
  });
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
function bashScript(table: CommandTable): string {
  const { commands, globalOptions } = table;
  const cases = commands.map(
    ({ name, options }) =>
      `    ${name}) options="${optionWords(options).join(" ")}"; values="${valueOptions(options).join(" ")}"; ` +
      `files="${fileOptions(options).join(" ")}" ;;`,
  );
  const places = commands.flatMap((command) =>
    placesOf(command, table).flatMap((words, place) =>
      words === "" ? [] : [`    ${command.name}:${place}) offers="${words}" ;;`],
    ),
  );
  return `# bash completion for runts
_runts() {
  local word="" command="" root="" i n=-1 place=0 skip=0 words=()
  # bash has words end at the = of --option=value and at the : of uid:gid; zsh has not.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if [[ $n -lt 0 || \${COMP_WORDS[i]} != [=:]* && $word != *[=:] ]]; then n=$((n + 1)); words[n]=""; fi
    word=\${COMP_WORDS[i]}
    words[n]+=$word
  done
  local cur=\${words[n]} prev=\${words[n-1]}
  if [[ $cur == --*=* ]]; then prev=\${cur%%=*}; cur=\${cur#*=}; fi
  local options="${optionWords(globalOptions).join(" ")}"
  local values="${valueOptions(globalOptions).join(" ")}"
  local files="${fileOptions(globalOptions).join(" ")}"
  local offers="${commands.map(({ name }) => name).join(" ")}"
  COMPREPLY=()
  for ((i = 1; i < n; i++)); do
    word=\${words[i]}
    if ((skip)); then skip=0; continue; fi
    [[ $word == --root ]] && root=\${words[i+1]}
    [[ $word == --root=* ]] && root=\${word#*=}
    if [[ " $values " == *" $word "* ]]; then skip=1; continue; fi
    [[ $word == -* ]] && continue
    if [[ -n $command ]]; then place=$((place + 1)); continue; fi
    command=$word
    case $command in
${cases.join("\n")}
    *) return ;;
    esac
  done
  if [[ " $files " == *" $prev "* ]]; then offers=${FILES}
  elif [[ " $values " == *" $prev "* ]]; then return
  elif [[ $cur == -* ]]; then offers=$options
  else
    case $command:$place in
    :*) ;;
${places.join("\n")}
    *) offers="" ;;
    esac
  fi
  if [[ $offers == ${FILES} ]]; then
    # bash by itself knows best about directories, blanks and quotes.
    compopt -o default 2>/dev/null && return
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$cur"))
    return
  fi
  if [[ $offers == ${IDS} ]]; then offers=$(runts \${root:+--root "$root"} list --quiet 2>/dev/null); fi
  COMPREPLY=($(compgen -W "$offers" -- "$cur"))
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

function fishScript(table: CommandTable): string {
  const { commands, globalOptions } = table;
  const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const option = (condition: string, described: OptionDescription): string => {
    const { name, alias, type, description } = described;
    const short = alias === undefined ? "" : ` -s ${alias}`;
    const value = type === "boolean" ? "" : takesFile(described) ? " -r -F" : " -x";
    return `complete -c runts -n ${quote(condition)} -l ${name}${short}${value} -d ${quote(description)}`;
  };
  // Not __fish_use_subcommand, which takes the value of a global option for one.
  const outside = `not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(" ")}`;
  const lines = commands.flatMap((command) => {
    const { name, summary, options } = command;
    const inside = `__fish_seen_subcommand_from ${name}`;
    const places = placesOf(command, table).filter((words) => words !== "");
    const offer = (words: string): string =>
      words === FILES ? "-F" : `-a ${quote(words === IDS ? "(runts list --quiet 2>/dev/null)" : words)}`;
    return [
      `complete -c runts -n ${quote(outside)} -a ${name} -d ${quote(summary)}`,
      ...options.map((each) => option(inside, each)),
      ...places.map((words) => `complete -c runts -n ${quote(inside)} ${offer(words)}`),
    ];
  });
  return `# fish completion for runts
complete -c runts -f
${globalOptions.map((each) => option(outside, each)).join("\n")}
${lines.join("\n")}
`;
}
