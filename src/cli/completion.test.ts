// Completion: the bash script is run by a real bash; the others are checked for what they must name.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { completionScript } from './completion.ts'
import { clientCommands } from './main.ts'
import { runAt } from './testing.ts'

const bash = completionScript('bash', clientCommands)

/** What bash would offer for these words, the last of which is being typed. */
function offered(...words: string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ')
  const script = `${bash}\nCOMP_WORDS=(coffer ${quoted}); COMP_CWORD=${words.length}; _coffer; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

test('bash completes words, flags and values of flags', () => {
  assert.deepEqual(offered('sta'), ['status'])
  assert.deepEqual(offered('kv', 'un'), ['undelete'])
  assert.deepEqual(offered('operator', 'seal', 'slots', ''), ['add', 'check', 'list', 'remove'])
  assert.deepEqual(offered('-address=http://x', 'kv', 'metadata', 'p'), ['patch', 'put'])
  assert.deepEqual(offered('kv', 'get', '-ver'), ['-version='])
  assert.deepEqual(offered('kv', 'get', '-tls-sk'), ['-tls-skip-verify'])
  assert.deepEqual(offered('read', '-format', '=', 'j'), ['json'])
  assert.deepEqual(offered('auth', 'help', 'user'), ['userpass'])
  assert.deepEqual(offered('completion', ''), ['bash', 'zsh', 'fish'])
})

test('scripts name every command and hold no control of the shell in descriptions', () => {
  const fish = completionScript('fish', clientCommands)
  const zsh = completionScript('zsh', clientCommands)
  assert.match(zsh, /^#compdef coffer\n/)
  for (const { words } of clientCommands) {
    const path = words.join(' ')
    assert.ok(bash.includes(`'${path}') `), path)
    assert.ok(zsh.includes(`'${path}') `), path)
    assert.ok(fish.includes(`'__coffer_at \\'${words.slice(0, -1).join(' ')}\\'' -a ${words.at(-1)} `), path)
  }
})

test('the command prints scripts, refuses other shells, and says how to install', async () => {
  assert.equal((await runAt(undefined, ['completion', 'bash'])).out, bash)
  assert.equal((await runAt(undefined, ['completion', 'tcsh'])).code, 1)
  assert.match((await runAt(undefined, ['-autocomplete-install'])).out, /source <\(coffer completion bash\)/)
})
