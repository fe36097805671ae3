// Completion, asked of the real shells: bash by its completion function, fish by `complete -C`, zsh through a terminal.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { completionScript, type Shell, shells } from './completion.ts'
import { clientCommands } from './main.ts'
import { runAt } from './testing.ts'
import { childrenOf } from './tree.ts'

const bash = completionScript('bash', clientCommands)
/** A missing shell fails the tests in CI and skips them elsewhere. */
const missing = (shell: string): string | false =>
  !process.env['CI'] && spawnSync(shell, ['--version']).error ? `there is no ${shell}` : false

const folder = mkdtempSync(path.join(tmpdir(), 'coffer-completion-'))
const file = (name: string): string => path.join(folder, name)
after(() => rmSync(folder, { recursive: true }))
mkdirSync(file('cwd/a folder'), { recursive: true })
writeFileSync(file('cwd/my key.pem'), '')
for (const shell of shells) writeFileSync(file(shell), completionScript(shell, clientCommands))
// What an interactive zsh is given: it notes each match that is added, and ends after the first completion.
writeFileSync(
  file('zshrc'),
  `PROMPT=
autoload -Uz compinit; compinit -u -D
source '${file('zsh')}'
bindkey '^I' complete-word
compadd() {
  local -a hits
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  builtin compadd -O hits "$@"
  (( $#hits )) && print -rl -- $hits >> '${file('found')}'
  builtin compadd "$@"
}
_captured() { exit }
comppostfuncs=(_captured)
print READY
`,
)
// Types a line into that zsh, on a terminal of its own, and presses TAB.
writeFileSync(
  file('zsh-type'),
  `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source '${file('zshrc')}'"
while zpty -r shell line; do [[ $line == *READY* ]] && break; done
zpty -w -n shell "$1"$'\\t'
while zpty -r shell line; do :; done
`,
)

function run(shell: string, args: readonly string[]): string[] {
  const cwd = path.join(folder, 'cwd')
  const { stdout, stderr, status, error } = spawnSync(shell, args, { encoding: 'utf8', cwd, timeout: 60_000 })
  if (error) throw error
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  return stdout.split('\n').filter((line) => line !== '')
}

/** What a shell would offer for a line. */
const offered: Readonly<Record<Shell, (line: string) => string[]>> = {
  bash(line) {
    // As bash splits it: "=" is a word of its own.
    const words = line.split(/(=)| /).filter((word) => word !== undefined && word !== '')
    if (line.endsWith(' ')) words.push('')
    const quoted = words.map((word) => `'${word}'`).join(' ')
    return run('bash', [
      '-c',
      `source '${file('bash')}'; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _coffer; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ])
  },
  fish: (line) =>
    run('fish', ['--no-config', '-c', `source '${file('fish')}'; complete -C '${line}'`]).map((found) =>
      // A name, a tab and what it is; values of flags come with the flag, files end in a slash or a space.
      (found.split('\t')[0] ?? '').replace(/^-[a-z-]+=(?=.)/, ''),
    ),
  zsh(line) {
    writeFileSync(file('found'), '')
    run('zsh', ['-f', file('zsh-type'), line])
    return readFileSync(file('found'), 'utf8').split('\n').slice(0, -1)
  },
}

const lines: readonly (readonly [line: string, expected: readonly string[], files?: true])[] = [
  ['coffer sta', ['status']],
  ['coffer kv un', ['undelete']],
  ['coffer operator seal slots ', ['add', 'check', 'list', 'remove']],
  ['coffer -address=http://x kv metadata p', ['patch', 'put']],
  ['coffer -address http://x kv metadata p', ['patch', 'put']],
  ['coffer kv get -tls-sk', ['-tls-skip-verify']],
  ['coffer -disable-r', ['-disable-redirects']],
  ['coffer read -format=j', ['json']],
  ['coffer read -format j', ['json']],
  ['coffer read -address ', []],
  ['coffer auth help user', ['userpass']],
  ['coffer completion ', ['bash', 'fish', 'zsh']],
  ['coffer no-such ', []],
  ['coffer read -ca-cert=my', ['my key.pem'], true],
  ['coffer read -ca-cert a', ['a folder'], true],
  ['coffer write secret/x v=1 my', ['my key.pem'], true],
]

for (const shell of shells)
  test(`${shell} completes words, flags, values of flags and files`, { skip: missing(shell) }, () => {
    for (const [line, expected, files] of lines) {
      const found = [...new Set(offered[shell](line))].map((text) => (files ? text.replaceAll('\\', '') : text))
      // No flag needs a value to be a flag; top-level words come where no command is known yet.
      const wanted = line === 'coffer no-such ' ? childrenOf(clientCommands, []).map(({ word }) => word) : expected
      assert.deepEqual(found.map((text) => text.replace(/\/$/, '')).sort(), [...wanted].sort(), `${shell}: ${line}`)
    }
  })

const paths = [
  '',
  ...new Set(clientCommands.flatMap(({ words }) => words.map((_, i) => words.slice(0, i + 1).join(' ')))),
]

/** Prints, for every path of command words, the path and then what may follow. */
const everyPath: Readonly<Record<Shell, () => string[]>> = {
  bash: () =>
    run('bash', [
      '-c',
      `source '${file('bash')}'; for at in ${paths.map((at) => `'${at}'`).join(' ')}; do _coffer_table "$at"; echo "@$at"; printf '%s\\n' $words $flags; done`,
    ]),
  zsh: () =>
    run('zsh', [
      '-f',
      '-c',
      `autoload -Uz compinit; compinit -u -D; source '${file('zsh')}'; for at in ${paths.map((at) => `'${at}'`).join(' ')}; do _coffer_table "$at"; print -r -- "@$at"; print -rl -- \${choices%%:*} \${flags%%:*}; done`,
    ]),
  fish: () =>
    run('fish', [
      '--no-config',
      '-c',
      `source '${file('fish')}'; for at in ${paths.map((at) => `'${at}'`).join(' ')}; echo "@$at"; complete -C (string trim -- "coffer $at")' ' | string replace -r '\\t.*' ''; complete -C (string trim -- "coffer $at")' -' | string replace -r '\\t.*' ''; end`,
    ]),
}

for (const shell of shells)
  test(`${shell} offers every command and flag, in its own place`, { skip: missing(shell) }, () => {
    const found = new Map<string, Set<string>>()
    for (const line of everyPath[shell]())
      if (line.startsWith('@')) found.set(line.slice(1), new Set())
      else [...found.values()].at(-1)?.add(line.replace(/=$/, ''))
    assert.equal(found.size, paths.length)
    for (const at of paths) {
      const words = childrenOf(clientCommands, at === '' ? [] : at.split(' ')).map(({ word }) => word)
      const command = clientCommands.find((one) => one.words.join(' ') === at)
      const flags = Object.entries(command?.flags ?? {})
        .filter(([, { hidden }]) => !hidden)
        .map(([name]) => `-${name}`)
      for (const word of command?.hidden ? [] : [...words, ...flags, ...(command?.online ? ['-ca-cert'] : [])])
        assert.ok(found.get(at)?.has(word), `${shell}: "${at}" lacks ${word}`)
      assert.equal(found.get(at)?.has('status'), words.includes('status'), `${shell}: "${at}"`)
    }
  })

test('the command prints scripts, refuses other shells, and says how to install', async () => {
  assert.equal((await runAt(undefined, ['completion', 'bash'])).out, bash)
  assert.equal((await runAt(undefined, ['completion', 'tcsh'])).code, 1)
  assert.match((await runAt(undefined, ['-autocomplete-install'])).out, /source <\(coffer completion bash\)/)
})
