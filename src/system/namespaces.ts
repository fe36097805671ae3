// sys/namespaces/*: create, read, list, change, delete, lock, and the seals of those that have one of their own.

import type { NamespaceSeals } from '../barrier/namespace-seal.ts'
import type { SharesSpec } from '../barrier/shares.ts'
import type { Mounts } from '../core/mounts.ts'
import { checkMetadata, currentNamespace, type Namespaces, namespacePathOf } from '../core/namespaces.ts'
import { type Namespace, type NamespaceRecord, sealAbove, type Topology } from '../core/topology.ts'
import { blocksOf, HclError, parseHcl, plainObject } from '../lib/hcl.ts'
import { isJsonObject, type JsonValue } from '../lib/json.ts'
import {
  bool,
  type Context,
  int,
  invalid,
  kvpairs,
  list,
  listReply,
  map,
  missing,
  type Operation,
  path,
  str,
  type WriteContext,
} from '../sdk/index.ts'
import { pageFields, pageOf } from '../sdk/page.ts'
import type { Reader } from '../storage/storage.ts'

const info = (record: NamespaceRecord): Record<string, unknown> => ({
  custom_metadata: record.customMetadata,
  id: record.id,
  locked: record.lock !== undefined,
  path: record.path,
  tainted: record.tainted,
  uuid: record.uuid,
})

const infoFields = {
  custom_metadata: map('Metadata of the namespace.'),
  id: str('Id; tokens of the namespace end with it.'),
  locked: bool('Whether its API is locked.'),
  path: str('Full path.'),
  tainted: bool('Whether it is being deleted.'),
  uuid: str('UUID.'),
}

/** Merge patch of metadata (RFC 7396): null takes a key away, null for all empties it. */
function patchedMetadata(
  before: Readonly<Record<string, string>>,
  patch: JsonValue | undefined,
): Record<string, string> {
  if (patch === null) return {}
  if (!isJsonObject(patch)) throw invalid('missing required field "custom_metadata"')
  const after: Record<string, string> = { ...before }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete after[key]
    else if (typeof value === 'string') after[key] = value
    else throw invalid('metadata patch can only have string or null values')
  }
  checkMetadata(after)
  return after
}

/** Reads the seal stanza of a new namespace; 400 when it is none or of another kind than shamir. */
function sealSpec(text: string, pgpKeys: readonly string[]): SharesSpec {
  try {
    const blocks = parseHcl(text)
      .items.filter((item) => item.keys[0].value === 'seal')
      .flatMap((item) => blocksOf(item, 1))
    const [only] = blocks
    if (!only || blocks.length > 1) throw invalid('seal config must contain exactly one seal stanza')
    const values = plainObject(only.items)
    if ((only.labels[0]?.value ?? values['type']) !== 'shamir') throw invalid('namespaces support shamir seals only')
    return { shares: wholeNumber(values, 'shares'), threshold: wholeNumber(values, 'threshold'), pgpKeys }
  } catch (error) {
    if (error instanceof HclError) throw invalid(`unable to parse seal config: ${error.message}`)
    throw error
  }
}

const wholeNumber = (values: Readonly<Record<string, unknown>>, name: string): number => {
  const number = Number(values[name] ?? 0)
  if (!Number.isInteger(number)) throw invalid(`value of ${name} parameter must be integer`)
  return number
}

/** Operations below `sys/namespaces`, but for those about seals. */
export function namespaceOperations(namespaces: Namespaces, mounts: Mounts, seals: NamespaceSeals): Operation[] {
  const here = async (tx: Reader, context: Context): Promise<{ topology: Topology; namespace: Namespace }> => {
    const topology = await mounts.topology(tx)
    return { topology, namespace: currentNamespace(topology, context.mount.namespace.uuid) }
  }
  const find = async (tx: Reader, context: Context, wanted: string): Promise<Namespace | undefined> => {
    const { topology, namespace } = await here(tx, context)
    return namespaces.find(topology, namespace, wanted)
  }
  const children = async (tx: Reader, context: Context, deep: boolean): Promise<NamespaceRecord[]> => {
    const { topology, namespace } = await here(tx, context)
    const own = namespace.record.path
    return [...topology.namespaces.values()]
      .map(({ record }) => record)
      .filter(
        ({ path }) =>
          path !== own && path.startsWith(own) && (deep || path.indexOf('/', own.length) === path.length - 1),
      )
      .sort((a, b) => (a.path < b.path ? -1 : 1))
  }
  const listed = async (
    context: Context & { tx: Reader },
    deep: boolean,
    query: { readonly after: string; readonly limit: number },
  ) => {
    const own = context.mount.namespace.path.length
    const byName = new Map(
      (await children(context.tx, context, deep)).map((record) => [record.path.slice(own), record]),
    )
    const keys = pageOf([...byName.keys()], query)
    return listReply(keys, Object.fromEntries(keys.map((key) => [key, info(byName.get(key) as NamespaceRecord)])))
  }
  const all = path('namespaces', {}, 'Namespaces below this one.')
  const one = path(
    'namespaces/{path*}',
    { path: str('Path of the namespace, below the one asked in.').required() },
    'One namespace.',
  )
  const listOutput = { keys: list('Paths.'), key_info: map('Facts by path.') }

  const lockPaths = (pattern: string, named: boolean): Operation[] => {
    const fields = (named ? { path: str('Path of the namespace.').required() } : {}) as { path: ReturnType<typeof str> }
    const target = async (context: WriteContext, wanted: string | undefined): Promise<Namespace> => {
      const found = wanted ? await find(context.tx, context, wanted) : (await here(context.tx, context)).namespace
      if (!found) throw missing('namespace not found')
      return found
    }
    const inBody = named ? {} : { path: str('Path of the namespace; the one asked in without it.') }
    return [
      path(pattern.replace('X', 'lock'), fields, 'Locks the API of a namespace and all below.').write({
        summary: 'Lock the API of a namespace.',
        input: inBody as typeof fields,
        output: { unlock_key: str('What unlocks it again.') },
        run: async (input, context) => ({
          data: { unlock_key: await namespaces.lock(context.tx, await target(context, input.path)) },
        }),
      }),
      path(pattern.replace('X', 'unlock'), fields, 'Unlocks the API of a namespace.').write({
        summary: 'Unlock the API of a namespace.',
        input: {
          ...(inBody as typeof fields),
          unlock_key: str('Key that locking gave; callers with sudo need none.').sensitive(),
        },
        async run(input, context) {
          if (!input.unlock_key && !context.caller.sudo) throw invalid('provided empty key')
          await namespaces.unlock(context.tx, await target(context, input.path), input.unlock_key || undefined)
          if (!input.unlock_key) context.warn('Namespace unlocked using sudo capabilities')
          return undefined
        },
      }),
    ]
  }

  return [
    all.list({
      summary: 'List the namespaces right below.',
      input: pageFields,
      output: listOutput,
      run: (q, c) => listed(c, false, q),
    }),
    all.scan({
      summary: 'List all namespaces below.',
      input: pageFields,
      output: listOutput,
      run: (q, c) => listed(c, true, q),
    }),
    one.read({
      summary: 'Read a namespace.',
      output: infoFields,
      async run(input, context) {
        const found = await find(context.tx, context, input.path)
        return found && { data: info(found.record) }
      },
    }),
    one.write({
      summary: 'Create a namespace, or replace its metadata.',
      input: {
        custom_metadata: kvpairs('Metadata.').default({}),
        seal: str('A seal stanza (HCL or JSON) for keys of its own: `seal "shamir" { shares = 5 threshold = 3 }`.'),
        pgp_keys: list('PGP keys to encrypt the shares with.').default([]),
      },
      output: {
        ...infoFields,
        key_shares: list('Shares of the key, told once.'),
        key_threshold: int('Shares needed.'),
      },
      async run(input, context) {
        const { topology, namespace } = await here(context.tx, context)
        const spec = input.seal ? sealSpec(input.seal, input.pgp_keys) : undefined
        const wish = {
          path: input.path,
          customMetadata: input.custom_metadata,
          ownSeal: spec !== undefined,
          now: context.now,
        }
        const { record, created } = await namespaces.put(context.tx, topology, namespace, wish)
        if (!created) return { data: info(record) }
        const shares = spec && (await seals.create(context.tx, record.uuid, spec))
        const above = spec ? undefined : sealAbove(topology, record.path)
        if (above) seals.adopt(record.uuid, above.uuid)
        namespaces.fill(context.tx, record.uuid, context.now)
        return {
          data: shares
            ? {
                ...info(record),
                key_shares: shares.keys.map((share) => share.toString('hex')),
                key_threshold: spec.threshold,
              }
            : info(record),
          ...(shares && { finish: () => seals.share(record.uuid) }),
        }
      },
    }),
    one.patch({
      summary: 'Change the metadata of a namespace.',
      input: { custom_metadata: map('Merge patch of the metadata.').nullable() },
      output: infoFields,
      async run(input, context) {
        const found = await find(context.tx, context, input.path)
        if (!found || found.record.tainted) throw missing('namespace not found')
        const record = {
          ...found.record,
          customMetadata: patchedMetadata(found.record.customMetadata, input.custom_metadata),
        }
        await namespaces.change(context.tx, record)
        return { data: info(record) }
      },
    }),
    one.delete({
      summary: 'Delete a namespace and all it holds; refused while it has namespaces below.',
      output: { status: str('"in-progress": it is switched off, its data is being cleared.') },
      async run(input, context) {
        namespacePathOf(input.path)
        const { topology } = await here(context.tx, context)
        const found = await find(context.tx, context, input.path)
        if (!found) {
          context.warn('requested namespace does not exist')
          return undefined
        }
        await namespaces.remove(context.tx, topology, found, context.now)
        return { data: { status: 'in-progress' } }
      },
    }),
    ...lockPaths('namespaces/api-lock/X', false),
    ...lockPaths('namespaces/api-lock/X/{path*}', true),
  ]
}
