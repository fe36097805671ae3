// Tidy: a walk over the indexes of a namespace's tokens that takes away what points nowhere and what is dead but not cleared. It works
// as due work, a bounded step at a time, and carries its place with it.
import type { Reader, Writer } from '../../storage/storage.ts'
import { putDue } from '../due.ts'
import type { DueHandler } from '../jobs.ts'
import { readToken } from './find.ts'
import { allTokenChildren, dueKinds, tidyMarks, tokenAccessors, tokenRecords } from './record.ts'
import type { Revocation } from './revoke.ts'

type Phase = 'accessors' | 'children' | 'tokens'
interface Cursor {
  readonly phase: Phase
  readonly after: string
}

const next: Readonly<Record<Phase, Phase | undefined>> = {
  accessors: 'children',
  children: 'tokens',
  tokens: undefined,
}
const stepSize = 100

/** Asks for a tidy of a namespace's tokens; false when one waits or runs already. */
export async function startTidy(tx: Writer, namespaceUuid: string, now: number): Promise<boolean> {
  if (await tidyMarks.has(tx, namespaceUuid)) return false
  tidyMarks.put(tx, namespaceUuid, now)
  putDue(tx, { kind: dueKinds.tidy, id: namespaceUuid, at: now })
  return true
}

/** Makes the handler that does it. */
export function tidyHandler({ revokeTree }: Revocation): DueHandler {
  const accessors = async (tx: Writer, namespaceUuid: string, names: readonly string[]): Promise<void> => {
    const index = tokenAccessors(namespaceUuid)
    for (const accessor of names) {
      const key = await index.get(tx, accessor)
      if (key !== undefined && !(await tokenRecords(namespaceUuid).has(tx, key))) index.delete(tx, accessor)
    }
  }

  const children = async (tx: Writer, namespaceUuid: string, names: readonly string[], at: number): Promise<void> => {
    const index = allTokenChildren(namespaceUuid)
    for (const name of names) {
      const [parentKey, key] = name.split('/')
      const entry = await index.get(tx, name)
      if (!entry || parentKey === undefined || key === undefined) continue
      const child = await readToken(tx, { namespaceUuid: entry.namespaceUuid, key })
      const named = child?.record.parent
      if (!named || named.key !== parentKey || named.namespaceUuid !== namespaceUuid) index.delete(tx, name)
      else if (!(await readToken(tx, named))) await revokeTree(tx, child.record, at)
    }
  }

  const tokens = async (tx: Writer, namespaceUuid: string, keys: readonly string[], at: number): Promise<void> => {
    for (const key of keys) {
      const found = await readToken(tx, { namespaceUuid, key })
      if (found && found.record.expireTime !== 0 && found.record.expireTime <= at)
        await revokeTree(tx, found.record, at)
    }
  }

  const namesOf = (tx: Reader, namespaceUuid: string, { phase, after }: Cursor): Promise<string[]> => {
    const options = { limit: stepSize, ...(after && { after }) }
    if (phase === 'accessors') return tokenAccessors(namespaceUuid).scan(tx, '', options)
    if (phase === 'children') return allTokenChildren(namespaceUuid).scan(tx, '', options)
    return tokenRecords(namespaceUuid).scan(tx, '', options)
  }

  return async (tx, { id: namespaceUuid, at, data }) => {
    const cursor = (data as Cursor | undefined) ?? { phase: 'accessors', after: '' }
    const names = await namesOf(tx, namespaceUuid, cursor)
    if (cursor.phase === 'accessors') await accessors(tx, namespaceUuid, names)
    else if (cursor.phase === 'children') await children(tx, namespaceUuid, names, at)
    else await tokens(tx, namespaceUuid, names, at)
    const last = names.length === stepSize ? names.at(-1) : undefined
    if (last !== undefined) return { at, data: { phase: cursor.phase, after: last } satisfies Cursor }
    const phase = next[cursor.phase]
    if (phase) return { at, data: { phase, after: '' } satisfies Cursor }
    tidyMarks.delete(tx, namespaceUuid)
    return undefined
  }
}
