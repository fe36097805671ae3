// Completion scripts for bash, zsh and fish, made from the command table. They are static: pressing TAB starts no process and
// asks no server.
import type { Command } from './command.ts'
import type { Flag, FlagTable } from './flags.ts'
import { globalFlags, httpFlags } from './globals.ts'
import { childrenOf, flagsOf, flagsWithoutHttp } from './tree.ts'

/** Shells that there is a script for. */
export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

interface Node {
  readonly path: string
  readonly words: ReadonlyArray<{ readonly word: string; readonly synopsis: string }>
  readonly command: Command | undefined
}

/** All prefixes of all commands, with what may follow. */
function nodesOf(commands: readonly Command[]): Node[] {
  const visible = commands.filter((command) => !command.hidden)
  const paths = new Set([''])
  for (const { words } of visible) for (let i = 1; i <= words.length; i++) paths.add(words.slice(0, i).join(' '))
  return [...paths].sort().map((path) => ({
    path,
    words: childrenOf(visible, path === '' ? [] : path.split(' ')),
    command: visible.find((command) => command.words.join(' ') === path),
  }))
}

const argWords = ({ command }: Node): readonly string[] =>
  command?.args.complete === undefined || command.args.complete === 'files' ? [] : command.args.complete
const takesFiles = ({ command }: Node): boolean =>
  command !== undefined && (command.args.complete === 'files' || /K=V/.test(command.args.usage))

const shown = (table: FlagTable): Array<[string, Flag<unknown>]> =>
  Object.entries(table).filter(([, flag]) => !flag.hidden)
const shownFlags = (command: Command): Array<[string, Flag<unknown>]> => shown(flagsOf(command))

const flagWords = (table: FlagTable): string =>
  shown(table)
    .map(([name, flag]) => (flag.kind === 'bool' ? `-${name}` : `-${name}=`))
    .join(' ')

/** Flags whose value has a few choices: `-format=` and its values. */
function choicesOf(commands: readonly Command[]): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const command of commands)
    for (const [name, flag] of shownFlags(command))
      if (flag.choices.length > 0)
        found.set(name, [...new Set([...(found.get(name) ?? []), ...flag.choices.filter((choice) => choice !== '')])])
  return found
}

const fileFlags = (commands: readonly Command[]): string[] => [
  ...new Set(
    commands.flatMap((command) =>
      shownFlags(command)
        .filter(([, flag]) => flag.files)
        .map(([name]) => name),
    ),
  ),
]

/** What a node takes besides the flags of all that speak to a server. */
const ownFlags = ({ path, command }: Node): FlagTable =>
  path === '' ? withoutHttp(globalFlags) : command ? flagsWithoutHttp(command) : {}
/** Before the command words, and behind those of a command that speaks to a server. */
const takesHttp = ({ path, command }: Node): boolean => path === '' || command?.online === true

const withoutHttp = (table: FlagTable): FlagTable =>
  Object.fromEntries(Object.entries(table).filter(([name]) => !Object.hasOwn(httpFlags, name)))

/** One branch of a shell's `case` for each path of command words; sets `words`, `flags` and `files`. */
function bashCases(nodes: readonly Node[]): string {
  return nodes
    .map((node) => {
      const words = [...node.words.map(({ word }) => word), ...argWords(node)].join(' ')
      const own = flagWords(ownFlags(node))
      const flags = takesHttp(node) ? `"${own} $online"` : `'${own}'`
      return `    '${node.path}') words='${words}'; flags=${flags}; files=${takesFiles(node) ? 1 : 0} ;;`
    })
    .join('\n')
}

/** Branches of a `case` over flags whose values are known; `offer` prints the words that do so. */
const valueCases = (commands: readonly Command[], offer: (choices: readonly string[]) => string): string =>
  [...choicesOf(commands)].map(([name, choices]) => `    -${name}) ${offer(choices)} ;;`).join('\n')
const filePattern = (commands: readonly Command[]): string =>
  fileFlags(commands)
    .map((name) => `-${name}`)
    .join('|') || '-'

function bashScript(commands: readonly Command[]): string {
  return `# bash completion for coffer. Load it with: source <(coffer completion bash)
_coffer_table() {
  local online='${flagWords(httpFlags)}'
  words='' flags='' files=0
  case "$1" in
${bashCases(nodesOf(commands))}
  esac
}

_coffer_files() {
  local IFS=$'\n'
  COMPREPLY=($(compgen -f -- "$1"))
  compopt -o filenames 2>/dev/null
}

# Completes the value of a flag; fails when nothing is known of it.
_coffer_value() {
  local values
  case "\${1/#--/-}" in
${valueCases(commands, (choices) => `values='${choices.join(' ')}'`)}
    ${filePattern(commands)}) _coffer_files "$2"; return ;;
    *) return 1 ;;
  esac
  COMPREPLY=($(compgen -W "$values" -- "$2"))
}

_coffer() {
  local words flags files path='' current previous word i
  current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}"
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*|=) continue ;; esac
    [ "\${COMP_WORDS[i - 1]}" = '=' ] && continue
    _coffer_table "$path"
    # Before the first command only values of flags stand.
    case " $words " in *" $word "*) ;; *) [ -z "$path" ] && continue; break ;; esac
    path="\${path:+$path }$word"
  done
  _coffer_table "$path"
  if [ "$current" = '=' ]; then _coffer_value "$previous" ''; return; fi
  if [ "$previous" = '=' ]; then _coffer_value "\${COMP_WORDS[COMP_CWORD - 2]}" "$current"; return; fi
  case " $flags " in *" \${previous/#--/-}= "*) _coffer_value "$previous" "$current"; return ;; esac
  case "$current" in
    -*)
      COMPREPLY=($(compgen -W "$flags" -- "$current"))
      case "\${COMPREPLY[0]}" in *=) compopt -o nospace 2>/dev/null ;; esac
      ;;
    *)
      COMPREPLY=($(compgen -W "$words" -- "$current"))
      if [ "$files" = 1 ] && [ \${#COMPREPLY[@]} -eq 0 ]; then _coffer_files "$current"; fi
      ;;
  esac
}
complete -F _coffer coffer
`
}

const singleQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
const zshItem = (word: string, synopsis: string): string => singleQuoted(`${word.replaceAll(':', '\\:')}:${synopsis}`)

const zshFlags = (table: FlagTable): string =>
  shown(table)
    .map(([name, flag]) => zshItem(`-${name}${flag.kind === 'bool' ? '' : '='}`, flag.usage))
    .join(' ')

function zshScript(commands: readonly Command[]): string {
  const cases = nodesOf(commands)
    .map((node) => {
      const words = [
        ...node.words.map(({ word, synopsis }) => zshItem(word, synopsis)),
        ...argWords(node).map((word) => zshItem(word, '')),
      ]
      const own = zshFlags(ownFlags(node))
      const flags = takesHttp(node) ? `${own} $online` : own
      return `    ${singleQuoted(node.path)}) choices=(${words.join(' ')}); flags=(${flags}); files=${takesFiles(node) ? 1 : 0} ;;`
    })
    .join('\n')
  return `#compdef coffer
# zsh completion for coffer. Put it in a file named _coffer in a folder of $fpath, or load it with: source <(coffer completion zsh)
_coffer_table() {
  local -a online
  online=(${zshFlags(httpFlags)})
  choices=() flags=() files=0
  case "$1" in
${cases}
  esac
}

# Offers the values of a flag; nothing when nothing is known of it.
_coffer_value() {
  case "\${1/#--/-}" in
${valueCases(commands, (choices) => `compadd -- ${choices.join(' ')}`)}
    ${filePattern(commands)}) _files ;;
  esac
}

_coffer() {
  local -a choices flags
  local files path_words='' word current="\${words[CURRENT]}" previous="\${words[CURRENT-1]/#--/-}"
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    [[ "$word" == -* ]] && continue
    _coffer_table "$path_words"
    # Before the first command only values of flags stand.
    (( \${choices[(I)\${(b)word}:*]} )) || { [[ -z "$path_words" ]] && continue; break }
    path_words="\${path_words:+$path_words }$word"
  done
  _coffer_table "$path_words"
  if [[ "$current" == -*=* ]]; then compset -P '*='; _coffer_value "\${current%%=*}"; return; fi
  if (( \${flags[(I)\${(b)previous}=:*]} )); then _coffer_value "$previous"; return; fi
  case "$current" in
    -*) _describe -o 'flag' flags -S '' ;;
    *)
      _describe 'command' choices && return
      (( files )) && _files
      ;;
  esac
}
if [ "$funcstack[1]" = '_coffer' ]; then _coffer "$@"; else compdef _coffer coffer; fi
`
}

const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

function fishScript(commands: readonly Command[]): string {
  const lines: string[] = []
  for (const node of nodesOf(commands)) {
    const at = `-n ${fishQuoted(`__coffer_at ${fishQuoted(node.path)}`)}`
    for (const { word, synopsis } of node.words)
      lines.push(`complete -c coffer ${at} -a ${word} -d ${fishQuoted(synopsis)}`)
    for (const word of argWords(node)) lines.push(`complete -c coffer ${at} -a ${word}`)
    if (takesFiles(node)) lines.push(`complete -c coffer ${at} -F`)
    const table = takesHttp(node) ? { ...ownFlags(node), ...httpFlags } : ownFlags(node)
    for (const [name, flag] of shown(table)) {
      const choices = flag.choices.filter((choice) => choice !== '')
      const value =
        flag.kind === 'bool'
          ? ''
          : flag.files
            ? ' -r -F'
            : choices.length > 0
              ? ` -x -a ${fishQuoted(choices.join(' '))}`
              : ' -x'
      lines.push(`complete -c coffer ${at} -o ${name}${value} -d ${fishQuoted(flag.usage)}`)
    }
  }
  const words = nodesOf(commands)
    .map((node) => fishQuoted(node.path))
    .join(' ')
  return `# fish completion for coffer. Load it with: coffer completion fish | source
set -g __coffer_line
set -g __coffer_path
# The words of the command so far; found once for each line, although every completion asks.
function __coffer_find
  set -l known ${words}
  set -l path ''
  for word in $argv
    string match -q -- '-*' $word; and continue
    set -l next (string trim -- "$path $word")
    if contains -- $next $known
      set path $next
    else if test -n "$path" # before the first command only values of flags stand
      break
    end
  end
  set -g __coffer_path $path
end
function __coffer_at
  set -l line (commandline -opc)
  if test "$line" != "$__coffer_line"
    set -g __coffer_line "$line"
    __coffer_find $line[2..-1]
  end
  test "$__coffer_path" = "$argv[1]"
end
complete -c coffer -f
${lines.join('\n')}
`
}

/** Writes the completion script for a shell. */
export const completionScript = (shell: Shell, commands: readonly Command[]): string =>
  ({ bash: bashScript, zsh: zshScript, fish: fishScript })[shell](commands)
