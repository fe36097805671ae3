// Completion scripts for bash, zsh and fish, made from the command table. They are static: pressing TAB starts no process and
// asks no server.
import type { Command } from './command.ts'
import type { Flag, FlagTable } from './flags.ts'
import { httpFlags } from './globals.ts'
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

/** One branch of a shell's `case` for each path of command words; sets `words`, `flags` and `files`. */
function bashCases(nodes: readonly Node[]): string {
  return nodes
    .map((node) => {
      const words = [...node.words.map(({ word }) => word), ...argWords(node)].join(' ')
      const own = node.command ? flagWords(flagsWithoutHttp(node.command)) : ''
      const flags = node.command?.online ? `"${own} $online"` : `'${own}'`
      return `    '${node.path}') words='${words}'; flags=${flags}; files=${takesFiles(node) ? 1 : 0} ;;`
    })
    .join('\n')
}

const valueCases = (commands: readonly Command[]): string =>
  [...choicesOf(commands)].map(([name, choices]) => `    -${name}) values='${choices.join(' ')}' ;;`).join('\n')

function bashScript(commands: readonly Command[]): string {
  const nodes = nodesOf(commands)
  const files = fileFlags(commands)
    .map((name) => `-${name}`)
    .join('|')
  return `# bash completion for coffer. Load it with: source <(coffer completion bash)
_coffer_table() {
  local online='${flagWords(httpFlags)}'
  words='' flags='' files=0
  case "$1" in
${bashCases(nodes)}
  esac
}

_coffer() {
  local words flags files values path='' next current word i
  current="\${COMP_WORDS[COMP_CWORD]}"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*|=) continue ;; esac
    [ "\${COMP_WORDS[i - 1]}" = '=' ] && continue
    _coffer_table "$path"
    case " $words " in *" $word "*) ;; *) break ;; esac
    next="\${path:+$path }$word"
    path="$next"
  done
  _coffer_table "$path"
  local flag=''
  if [ "$current" = '=' ]; then flag="\${COMP_WORDS[COMP_CWORD - 1]}"; current=''
  elif [ "\${COMP_WORDS[COMP_CWORD - 1]}" = '=' ]; then flag="\${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  flag="\${flag/#--/-}"
  if [ -n "$flag" ]; then
    values=''
    case "$flag" in
${valueCases(commands)}
    ${files || '-'}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "$current" in
    -*)
      COMPREPLY=($(compgen -W "$flags" -- "$current"))
      case "\${COMPREPLY[0]}" in *=) compopt -o nospace 2>/dev/null ;; esac
      ;;
    *)
      COMPREPLY=($(compgen -W "$words" -- "$current"))
      if [ "$files" = 1 ] && [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
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
      const own = node.command ? zshFlags(flagsWithoutHttp(node.command)) : ''
      const flags = node.command?.online ? `${own} $online` : own
      return `    ${singleQuoted(node.path)}) choices=(${words.join(' ')}); flags=(${flags}); files=${takesFiles(node) ? 1 : 0} ;;`
    })
    .join('\n')
  const values = [...choicesOf(commands)]
    .map(([name, choices]) => `    -${name}=*) compset -P '*='; compadd -- ${choices.join(' ')}; return ;;`)
    .join('\n')
  const files = fileFlags(commands)
    .map((name) => `-${name}=*`)
    .join('|')
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

_coffer() {
  local -a choices flags
  local files path_words='' word
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    [[ "$word" == -* ]] && continue
    _coffer_table "$path_words"
    (( \${choices[(I)\${(b)word}:*]} )) || break
    path_words="\${path_words:+$path_words }$word"
  done
  _coffer_table "$path_words"
  case "\${words[CURRENT]/#--/-}" in
${values}
    ${files || '-'}) compset -P '*='; _files; return ;;
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
    if (!node.command) continue
    for (const [name, flag] of shownFlags(node.command)) {
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
function __coffer_path
  set -l known ${words}
  set -l path ''
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and continue
    set -l next (string trim -- "$path $word")
    contains -- $next $known; or break
    set path $next
  end
  echo $path
end
function __coffer_at
  test (__coffer_path) = "$argv[1]"
end
complete -c coffer -f
${lines.join('\n')}
`
}

/** Writes the completion script for a shell. */
export const completionScript = (shell: Shell, commands: readonly Command[]): string =>
  ({ bash: bashScript, zsh: zshScript, fish: fishScript })[shell](commands)
