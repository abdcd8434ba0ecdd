import { SIGHUP, SIGSYS, signalName } from "../../../bindings/abi/signal.ts";
import type { CommandDescription } from "../command.ts";
import { globalOptions } from "../options/global-options.ts";
import type { Option, OptionTable } from "../options/option.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

type Commands = readonly CommandDescription[];

/** A completion script for the shell, from the commands' tables. */
export function completionScript(shell: Shell, commands: Commands): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](commands);
}

/** Stand for words that only the shell or the runtime knows. */
const FILES = "@files";
const IDS = "@ids";

/** The completions of each argument, taken from the command's usage: words, FILES, IDS, or "" for none. */
function placesOf({ positionals }: CommandDescription, commands: Commands): string[] {
  const places = positionals.usage.match(/<[^>]+>|\[[^\]]+\]+|\S+/g) ?? [];
  return places.map((place) => {
    switch (place.replace(/^[<[](.*)[\]>]$/, "$1")) {
      case "container-id":
      // More of them, as in `<container-id>...`.
      case "...":
        return IDS;
      case "device":
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

function optionWords(options: OptionTable): string[] {
  return Object.keys(options).map((name) => `--${name}`);
}

/** Options that take the next word as their value. */
function valueOptions(options: OptionTable, accept = takesValue): string[] {
  return Object.entries(options)
    .filter(([, option]) => accept(option))
    .flatMap(([name, { alias }]) => [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])]);
}

function takesValue({ type }: Option): boolean {
  return type !== "boolean";
}

function takesPath({ isPath }: Option): boolean {
  return isPath === true;
}

/** All but the real-time signals. */
const signals = Array.from({ length: SIGSYS }, (_, index) => signalName(SIGHUP + index));

/** One function: it finds the command among the words, then completes the word at the cursor. */
function bashScript(commands: Commands): string {
  const cases = commands.map(
    ({ name, options }) =>
      `    ${name}) options="${optionWords(options).join(" ")}"; values="${valueOptions(options).join(" ")}"; ` +
      `files="${valueOptions(options, takesPath).join(" ")}" ;;`,
  );
  const places = commands.flatMap((command) =>
    placesOf(command, commands).flatMap((words, place) =>
      words === "" ? [] : [`    ${command.name}:${place}) offers="${words}" ;;`],
    ),
  );
  return `# bash completion for runts
_runts() {
  local word="" command="" root="" i n=-1 place=0 skip=0 words=()
  # bash splits words at the = of --option=value and at the : of uid:gid; zsh does not.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if [[ $n -lt 0 || \${COMP_WORDS[i]} != [=:]* && $word != *[=:] ]]; then n=$((n + 1)); words[n]=""; fi
    word=\${COMP_WORDS[i]}
    words[n]+=$word
  done
  local cur=\${words[n]} prev=\${words[n-1]}
  if [[ $cur == --*=* ]]; then prev=\${cur%%=*}; cur=\${cur#*=}; fi
  local options="${optionWords(globalOptions).join(" ")}"
  local values="${valueOptions(globalOptions).join(" ")}"
  local files="${valueOptions(globalOptions, takesPath).join(" ")}"
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
    # bash's own completion handles directories, blanks and quotes.
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

/** zsh runs the function for bash. It offers no descriptions: the help has them. */
function zshScript(commands: Commands): string {
  return `#compdef runts
autoload -U +X bashcompinit && bashcompinit
${bashScript(commands)}
# When the completion system autoloads this file as a function, this is its first call.
[[ $funcstack[1] != _runts ]] || _bash_complete -F _runts
`;
}

function fishScript(commands: Commands): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const offerOption = (condition: string, name: string, option: Option): string => {
    const { alias, type, description } = option;
    const short = alias === undefined ? "" : ` -s ${alias}`;
    const value = type === "boolean" ? "" : takesPath(option) ? " -r -F" : " -x";
    return `complete -c runts -n ${quote(condition)} -l ${name}${short}${value} -d ${quote(description)}`;
  };
  // Not __fish_use_subcommand, which takes the value of a global option for a command.
  const outside = `not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(" ")}`;
  const lines = commands.flatMap((command) => {
    const { name, summary, options } = command;
    const inside = `__fish_seen_subcommand_from ${name}`;
    const places = placesOf(command, commands).filter((words) => words !== "");
    const offer = (words: string): string =>
      words === FILES ? "-F" : `-a ${quote(words === IDS ? "(runts list --quiet 2>/dev/null)" : words)}`;
    return [
      `complete -c runts -n ${quote(outside)} -a ${name} -d ${quote(summary)}`,
      ...Object.entries(options).map(([each, option]) => offerOption(inside, each, option)),
      ...places.map((words) => `complete -c runts -n ${quote(inside)} ${offer(words)}`),
    ];
  });
  return `# fish completion for runts
complete -c runts -f
${Object.entries(globalOptions)
  .map(([each, option]) => offerOption(outside, each, option))
  .join("\n")}
${lines.join("\n")}
`;
}
