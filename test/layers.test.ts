// Imports go one way (docs/adr/0001): reads the import lines of src and fails on the first that goes the other way, and on cycles.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

const src = path.resolve(import.meta.dirname, '../src')
/** What each room may import besides itself; files right below src may import everything. */
const core = ['lib', 'crypto', 'storage', 'sdk', 'barrier', 'audit', 'core']
const allowed: Record<string, readonly string[]> = {
  lib: [],
  crypto: ['lib'],
  storage: ['lib', 'crypto'],
  sdk: ['lib', 'crypto', 'storage'],
  barrier: ['lib', 'crypto', 'storage', 'sdk'],
  audit: ['lib', 'crypto', 'storage', 'sdk'],
  metrics: ['lib'],
  core,
  config: ['lib', 'sdk'],
  system: core,
  http: ['lib', 'sdk', 'core'],
  workers: ['config', 'barrier', 'http'],
  engines: ['lib', 'crypto', 'storage', 'sdk'],
  auth: ['lib', 'crypto', 'storage', 'sdk'],
  cli: ['lib', 'sdk', 'config', 'audit', 'storage', 'core/policy'],
}
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'))
const importsOf = (file: string): string[] =>
  [
    ...readFileSync(path.join(src, file), 'utf8').matchAll(
      /^\s*(?:import|export)\b[^'"]*?from\s+'(\.[^']+)'|import\('(\.[^']+)'\)/gm,
    ),
  ].map((m) => path.relative(src, path.resolve(src, path.dirname(file), (m[1] ?? m[2]) as string)))

test('imports go one way', () => {
  for (const file of files) {
    const [room, part] = file.split('/') as [string, string]
    if (!file.includes('/') || file.endsWith('.test.ts')) continue
    assert.ok(allowed[room], `src/${room} is not a known room`)
    for (const target of importsOf(file)) {
      const [to, toPart] = target.split('/') as [string, string]
      const own = room === to && (!['engines', 'auth'].includes(room) || part === toPart)
      const named = allowed[room]?.some((rule) => rule === to || target.startsWith(`${rule}/`))
      assert.ok(
        own || (named && (room === to ? own || !['engines', 'auth'].includes(room) : true)),
        `${file} must not import ${target}`,
      )
    }
  }
})

test('no cycles', () => {
  const state = new Map<string, 'open' | 'done'>()
  const visit = (file: string, trail: string[]): void => {
    if (state.get(file) === 'done') return
    assert.notEqual(state.get(file), 'open', `cycle: ${[...trail, file].join(' -> ')}`)
    state.set(file, 'open')
    const text = readFileSync(path.join(src, file), 'utf8')
      .replace(/^\s*(?:import|export) type\b.*$/gm, '')
      .replace(/^\s*import type [\s\S]*?from\s+'[^']+'$/gm, '')
    for (const m of text.matchAll(/^\s*(?:import|export)\s+(\{[^}]*\}|\*|[\w, {}*]+)?\s*(?:from\s+)?'(\.[^']+)'/gm)) {
      const names = m[1] ?? ''
      // An import of types alone is gone at run time.
      if (
        names.startsWith('{') &&
        names
          .slice(1, -1)
          .split(',')
          .every((n) => n.trim() === '' || n.trim().startsWith('type '))
      )
        continue
      const target = path.relative(src, path.resolve(src, path.dirname(file), m[2] as string))
      if (files.includes(target)) visit(target, [...trail, file])
    }
    state.set(file, 'done')
  }
  for (const file of files) if (!file.endsWith('.test.ts')) visit(file, [])
})
