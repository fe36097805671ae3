// Reads configuration files: HCL or JSON, files or folders, merged in order. Later files override single keys and add to lists.
// Everything wrong is collected before it is told, and nothing is started or opened here.
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type HclFile, hclLimits, parseHcl } from '../lib/hcl.ts'
import { ConfigError, type ConfigProblem, type Report, readKeys, reportOn, type Values, withFallbacks } from './keys.ts'
import { serverSection, telemetrySection } from './sections.ts'
import type {
  AuditSettings,
  ListenerSettings,
  LockoutSettings,
  SealSettings,
  ServerConfig,
  TelemetrySettings,
} from './server-config.ts'
import {
  type LockoutStanza,
  readAudit,
  readListener,
  readLockout,
  readSeal,
  readStorage,
  type StorageStanza,
  stanzaBlocks,
} from './stanzas.ts'
import { workersProblem } from './workers.ts'

/** A file as it was read. Its text may hold secrets. */
export interface ConfigText {
  readonly file: string
  readonly text: string
}

export interface LoadedConfig {
  readonly config: ServerConfig
  readonly warnings: readonly ConfigProblem[]
  /** Files that were read, in order. */
  readonly texts: readonly ConfigText[]
}

/** What one file, or several together, say. */
interface Draft {
  values: Partial<Values<typeof serverSection.keys>>
  listeners: ListenerSettings[]
  storage: StorageStanza | undefined
  seals: SealSettings[]
  audits: AuditSettings[]
  telemetry: Partial<TelemetrySettings> | undefined
  lockouts: LockoutStanza[]
}

const emptyDraft = (): Draft => ({
  values: {},
  listeners: [],
  storage: undefined,
  seals: [],
  audits: [],
  telemetry: undefined,
  lockouts: [],
})

/** Stanza name -> number of labels. */
const stanzas: Readonly<Record<string, number>> = {
  listener: 1,
  storage: 1,
  backend: 1,
  seal: 1,
  kms: 1,
  hsm: 1,
  audit: 2,
  telemetry: 0,
  user_lockout: 1,
}

function readStanzas(file: HclFile, draft: Draft, report: Report): void {
  const only = { storage: false, telemetry: false }
  const once = (name: keyof typeof only, at: { line: number; column: number }): void => {
    if (only[name]) report.error(`only one ${name} stanza is allowed in a file`, at)
    only[name] = true
  }
  for (const item of file.items) {
    const name = item.keys[0].value.toLowerCase()
    const labels = Object.hasOwn(stanzas, name) ? stanzas[name] : undefined
    if (labels === undefined) continue
    for (const block of stanzaBlocks(item, labels, report)) {
      if (block.labels.length > labels) report.error(`${name} takes ${labels} labels`, block)
      const keep = <T>(list: T[], value: T | undefined): void => {
        if (value !== undefined) list.push(value)
      }
      if (name === 'listener') keep(draft.listeners, readListener(block, report))
      else if (name === 'audit') keep(draft.audits, readAudit(block, report))
      else if (name === 'user_lockout') keep(draft.lockouts, readLockout(block, report))
      else if (name === 'telemetry') {
        once('telemetry', block)
        draft.telemetry = readKeys(block.items, telemetrySection, report)
      } else if (name === 'storage' || name === 'backend') {
        once('storage', block)
        draft.storage = readStorage(block, report)
      } else keep(draft.seals, readSeal(block, report))
    }
  }
}

function readDraft(text: string, report: Report): Draft {
  const draft = emptyDraft()
  const file = report.attempt(() => parseHcl(text))
  if (!file) return draft
  draft.values = readKeys(file.items, serverSection, report, Object.keys(stanzas))
  if (draft.values.disableMlock === false)
    report.warn('disable_mlock = false: Coffer does not lock memory; encrypt or switch off swap', {
      line: file.items.find((item) => item.keys[0].value.toLowerCase() === 'disable_mlock')?.line ?? 0,
      column: 1,
    })
  readStanzas(file, draft, report)
  report.warnings.sort((a, b) => a.line - b.line)
  report.errors.sort((a, b) => a.line - b.line)
  return draft
}

const merged = (before: Draft, after: Draft): Draft => ({
  values: { ...before.values, ...after.values },
  listeners: [...before.listeners, ...after.listeners],
  storage: after.storage ?? before.storage,
  seals: [...before.seals, ...after.seals],
  audits: [...before.audits, ...after.audits],
  telemetry: after.telemetry ?? before.telemetry,
  lockouts: [...before.lockouts, ...after.lockouts],
})

const lockoutDefaults = { threshold: 5, durationSeconds: 900, counterResetSeconds: 900, disabled: false }

function lockoutsOf(given: readonly LockoutStanza[]): LockoutSettings[] {
  const byType = new Map<string, LockoutStanza[1]>()
  for (const [type, values] of given) byType.set(type, { ...byType.get(type), ...values })
  const all = { ...lockoutDefaults, ...byType.get('all') } as Omit<LockoutSettings, 'type'>
  byType.delete('all')
  const others = [...byType].map(([type, values]) => ({ ...all, ...values, type }) as LockoutSettings)
  return [{ ...all, type: 'all' }, ...others]
}

function finish(draft: Draft): ServerConfig {
  const values = withFallbacks(serverSection.keys, draft.values)
  const { maxLeaseTtlSeconds } = values
  return {
    ...values,
    // Who lowers the maximum alone means the default as well.
    defaultLeaseTtlSeconds:
      draft.values.defaultLeaseTtlSeconds ?? Math.min(values.defaultLeaseTtlSeconds, maxLeaseTtlSeconds),
    apiAddr: values.apiAddr || (draft.storage?.apiAddr ?? ''),
    clusterAddr: values.clusterAddr || (draft.storage?.clusterAddr ?? ''),
    listeners: draft.listeners,
    storage: draft.storage?.settings,
    seals: draft.seals,
    audits: draft.audits,
    telemetry: withFallbacks(telemetrySection.keys, draft.telemetry ?? { prometheusRetentionTimeSeconds: 0 }),
    userLockouts: lockoutsOf(draft.lockouts),
  }
}

/** Checks what no single file can know. */
function checkWhole(config: ServerConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const say = (message: string, file = '', line = 0): void => {
    problems.push({ file, line, message })
  }
  if (config.maxLeaseTtlSeconds < config.defaultLeaseTtlSeconds)
    say('max_lease_ttl must not be less than default_lease_ttl')
  const unshared = workersProblem(config.workers, config.storage)
  if (unshared) say(unshared)
  const paths = new Set<string>()
  for (const { path, file, line } of config.audits) {
    if (paths.has(path)) say(`two audit devices have the path "${path}"`, file, line)
    paths.add(path)
  }
  if (config.seals.filter((seal) => seal.kind === 'static' && !seal.disabled).length > 1)
    say('only one seal "static" can be in use; set disabled = true in the other')
  return problems
}

/** What a server cannot start without. */
function checkComplete(config: ServerConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (config.listeners.length === 0)
    problems.push({ file: '', line: 0, message: 'no listener; add: listener "tcp" { address = "127.0.0.1:8200" … }' })
  if (!config.storage)
    problems.push({
      file: '',
      line: 0,
      message: 'no storage; add: storage "sqlite" { path = "/var/lib/coffer/coffer.db" }',
    })
  return problems
}

/**
 * Parses one configuration text; `file` is the name used in messages. Listener and storage may be missing (a development server
 * has its own). Throws `ConfigError` with everything that is wrong.
 */
export function parseConfig(text: string, file: string): LoadedConfig {
  const report = reportOn(file)
  const config = finish(readDraft(text, report))
  const errors = [...report.errors, ...checkWhole(config)]
  if (errors.length > 0) throw new ConfigError(errors)
  return { config, warnings: report.warnings, texts: [{ file, text }] }
}

const problem = (file: string, message: string): ConfigError => new ConfigError([{ file, line: 0, message }])

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown error'

/** Lists the files a path stands for: itself, or the `*.hcl` and `*.json` of a folder in order of their names. */
async function filesOf(path: string): Promise<string[]> {
  const facts = await stat(path).catch((error: unknown) => {
    throw problem(path, `cannot be read (${codeOf(error)})`)
  })
  if (!facts.isDirectory()) return [path]
  const names = (await readdir(path, { withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && /\.(hcl|json)$/.test(entry.name) && !/^(\.#|#)/.test(entry.name))
    .map((entry) => entry.name)
    .sort()
  if (names.length === 0) throw problem(path, 'holds no .hcl or .json file')
  return names.map((name) => join(path, name))
}

/** Reads a file as text; throws `ConfigError`. */
export async function readText(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw problem(file, `cannot be read (${codeOf(error)})`)
  })
  if (bytes.length > hclLimits.lengthMax) throw problem(file, `is larger than ${hclLimits.lengthMax} bytes`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw problem(file, 'is no UTF-8 text')
  }
}

/** What `operator validate-config` shows: everything wrong, everything odd. */
export interface CheckedConfig {
  readonly errors: readonly ConfigProblem[]
  readonly warnings: readonly ConfigProblem[]
  readonly texts: readonly ConfigText[]
  /** The configuration as far as it could be read; not to be used when there are errors. */
  readonly config: ServerConfig
}

async function readFiles(paths: readonly string[]): Promise<{ texts: ConfigText[]; errors: ConfigProblem[] }> {
  const errors: ConfigProblem[] = []
  const texts: ConfigText[] = []
  const seen = new Set<string>()
  const collect = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      errors.push(...error.problems)
      return undefined
    }
  }
  for (const path of paths)
    for (const file of (await collect(() => filesOf(path))) ?? []) {
      // A file that is also in a folder given counts once.
      const real = await realpath(file).catch(() => file)
      if (seen.has(real)) continue
      seen.add(real)
      const text = await collect(() => readText(file))
      if (text !== undefined) texts.push({ file, text })
    }
  return { texts, errors }
}

function checkTexts(texts: readonly ConfigText[], unreadable: readonly ConfigProblem[]): CheckedConfig {
  const errors = [...unreadable]
  const warnings: ConfigProblem[] = []
  let draft = emptyDraft()
  for (const { file, text } of texts) {
    const report = reportOn(file)
    draft = merged(draft, readDraft(text, report))
    errors.push(...report.errors)
    warnings.push(...report.warnings)
  }
  const config = finish(draft)
  // Without a mistake so far, what is missing is missing; with one it may only have been unreadable.
  const whole = [...checkWhole(config), ...(errors.length === 0 ? checkComplete(config) : [])]
  return { errors: [...errors, ...whole], warnings, texts, config }
}

/** Reads files and folders and collects every problem; never throws for what a configuration can be at fault for. */
export async function validateConfig(paths: readonly string[]): Promise<CheckedConfig> {
  const { texts, errors } = await readFiles(paths)
  return checkTexts(texts, errors)
}

/** Loads files and folders for a server that will start. Throws `ConfigError` with everything that is wrong. */
export async function loadConfig(paths: readonly string[]): Promise<LoadedConfig> {
  if (paths.length === 0) throw problem('', 'no configuration; use -config=FILE or -dev')
  return sound(await validateConfig(paths))
}

/** Loads what another process has read. Throws `ConfigError` as `loadConfig` does. */
export const loadTexts = (texts: readonly ConfigText[]): LoadedConfig => sound(checkTexts(texts, []))

function sound({ errors, config, warnings, texts }: CheckedConfig): LoadedConfig {
  if (errors.length > 0) throw new ConfigError(errors)
  return { config, warnings, texts }
}
