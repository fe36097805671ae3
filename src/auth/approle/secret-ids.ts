// Secret ids: made, chosen, listed by accessor, looked up and destroyed. A secret id is told once, in the answer that makes it.
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { cidrsWithin } from '../../lib/cidr.ts'
import { formatMillis } from '../../lib/time.ts'
import {
  duration,
  int,
  invalid,
  kvpairs,
  list,
  listReply,
  missing,
  path,
  type ReadContext,
  type Reply,
  str,
  time,
  type ValuesOf,
  type WriteContext,
} from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import { checkCidrs } from './role-settings.ts'
import { findRole, needRole, type RoleRecord } from './role-store.ts'
import { roleField } from './roles.ts'
import {
  accessors,
  addSecretId,
  findByAccessor,
  findSecretId,
  removeSecretId,
  type SecretId,
  type SecretIdRecord,
} from './secret-store.ts'

/** Bytes of all names and values of a secret id's metadata: each of its tokens carries them. */
const metadataBytesMax = 16 * 1024

const secretIdField = { secret_id: str('The secret id.').sensitive().default('') }
const accessorField = { secret_id_accessor: str('Accessor of the secret id.').default('') }
const factFields = {
  secret_id_accessor: str('Names the secret id where it must not be told.'),
  secret_id_num_uses: int('Logins left; 0 is without limit.'),
  secret_id_ttl: duration('Lifetime; 0 is without end.'),
}
const makeFields = {
  cidr_list: list('Addresses and ranges it may be used from; within those of the role.').default([]),
  metadata: kvpairs('Names and values that its tokens carry; a JSON object, also as text.').default({}),
  num_uses: int('How many logins it is good for; at most as many as the role says.'),
  token_bound_cidrs: list('Addresses and ranges its tokens may be used from; within those of the role.').default([]),
  ttl: duration('Its lifetime; at most as long as the role says.'),
}

type Wanted = ValuesOf<typeof makeFields>

/** What a request asks for, or what the role gives; throws `invalid` for more than that. */
function within(field: string, asked: number | undefined, given: number): number {
  if (asked === undefined) return given
  if (asked < 0) throw invalid(`field "${field}" cannot be negative`)
  if (given > 0 && (asked === 0 || asked > given))
    throw invalid(`field "${field}" is over the role's secret_id_${field}`)
  return asked
}

function checkRanges(field: string, ranges: readonly string[], ofRole: readonly string[]): void {
  checkCidrs(field, ranges)
  if (ofRole.length > 0 && !cidrsWithin(ranges, ofRole))
    throw invalid(`field "${field}" reaches beyond the addresses of the role`)
}

function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  const bytes = Object.entries(metadata).reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0)
  if (bytes > metadataBytesMax) throw invalid(`field "metadata" is longer than ${metadataBytesMax} bytes`)
}

async function make(name: string, secretId: string, wanted: Wanted, context: WriteContext): Promise<Reply> {
  const role = await needRole(context, name)
  if (!role.bindSecretId) throw invalid('bind_secret_id is not set on the role')
  if (secretId === '') throw invalid('missing secret_id')
  const { cidr_list: cidrs, token_bound_cidrs: tokenCidrs, metadata } = wanted
  checkRanges('cidr_list', cidrs, role.secretIdBoundCidrs)
  checkRanges('token_bound_cidrs', tokenCidrs, role.token.token_bound_cidrs)
  checkMetadata(metadata)
  const ttlSeconds = within('ttl', wanted.ttl, role.secretIdTtlSeconds)
  const record = await addSecretId(context, role, secretId, {
    numUses: within('num_uses', wanted.num_uses, role.secretIdNumUses),
    ttlSeconds: Math.min(ttlSeconds, context.mount.maxLeaseTtlSeconds),
    metadata,
    cidrs,
    tokenCidrs,
  })
  return { data: { secret_id: secretId, ...facts(record) } }
}

const facts = (record: SecretIdRecord) => ({
  secret_id_accessor: record.accessor,
  secret_id_num_uses: record.numUses,
  secret_id_ttl: record.ttlSeconds,
})

// What Vault prints for a time that is not set.
const never = '0001-01-01T00:00:00Z'

const lookupFields = {
  ...factFields,
  cidr_list: list('Addresses it may be used from.'),
  creation_time: time('When it was made.'),
  expiration_time: time('When it ends.'),
  last_updated_time: time('When it was made, or a use of it was counted.'),
  metadata: kvpairs('Names and values that its tokens carry.'),
  token_bound_cidrs: list('Addresses its tokens may be used from.'),
}

const shown = ({ record }: SecretId): Reply => ({
  data: {
    ...facts(record),
    cidr_list: record.cidrs,
    creation_time: formatMillis(record.createdTime),
    expiration_time: record.expireTime === 0 ? never : formatMillis(record.expireTime),
    last_updated_time: formatMillis(record.updatedTime),
    metadata: record.metadata,
    token_bound_cidrs: record.tokenCidrs,
  },
})

const needed = (field: string, value: string): string => {
  const text = value.trim()
  if (text === '') throw invalid(`missing ${field}`)
  return text
}

type Find = (context: ReadContext, role: RoleRecord) => Promise<SecretId | undefined>

const bySecretId =
  (sent: string): Find =>
  (context, { key }) =>
    findSecretId(context, key, needed('secret_id', sent))
const byAccessor =
  (sent: string): Find =>
  (context, { key }) =>
    findByAccessor(context, key, needed('secret_id_accessor', sent))

async function destroy(name: string, find: Find, context: WriteContext): Promise<boolean> {
  const found = await find(context, await needRole(context, name))
  if (found) removeSecretId(context, found)
  return found !== undefined
}

const secretIdPath = path('role/{role_name}/secret-id', roleField, 'The secret ids of a role.')
const lookup = path('role/{role_name}/secret-id/lookup', roleField, 'What is known of a secret id.')
const ending = path('role/{role_name}/secret-id/destroy', roleField, 'The end of a secret id.')
const accessorLookup = path('role/{role_name}/secret-id-accessor/lookup', roleField, 'What is known of a secret id.')
const accessorEnding = path('role/{role_name}/secret-id-accessor/destroy', roleField, 'The end of a secret id.')
const unknownAccessor = 'failed to find accessor entry for secret_id_accessor'

const destroyOperation = {
  summary: 'Destroy a secret id: it is refused at once, its tokens live on.',
  input: secretIdField,
  async run(
    { role_name, secret_id }: { readonly role_name: string; readonly secret_id: string },
    context: WriteContext,
  ) {
    await destroy(role_name, bySecretId(secret_id), context)
    return undefined
  },
}
const accessorDestroyOperation = {
  summary: 'Destroy a secret id by its accessor.',
  input: accessorField,
  async run(
    { role_name, secret_id_accessor }: { readonly role_name: string; readonly secret_id_accessor: string },
    context: WriteContext,
  ) {
    if (!(await destroy(role_name, byAccessor(secret_id_accessor), context))) throw missing(unknownAccessor)
    return undefined
  },
}

/** Operations on the secret ids of a role. */
export const secretIdOperations = [
  secretIdPath.list({
    summary: 'List the accessors of the secret ids.',
    input: pageFields,
    output: { keys: list('Accessors.') },
    async run({ role_name, ...page }, context) {
      const role = await findRole(context, role_name)
      if (!role) throw invalid('role does not exist')
      return listReply(await accessors.list(context.tx, `${role.key}/`, pageOptions(page)))
    },
  }),
  secretIdPath.write({
    summary: 'Make a secret id.',
    input: makeFields,
    output: { secret_id: str('The secret id; told this once.').sensitive(), ...factFields },
    run: ({ role_name, ...wanted }, context) => make(role_name, randomUUID(), wanted, context),
  }),
  path('role/{role_name}/custom-secret-id', roleField, 'Secret ids that were drawn elsewhere.').write({
    summary: 'Store a secret id of your own choice.',
    input: { ...secretIdField, ...makeFields },
    output: { secret_id: str('The secret id.').sensitive(), ...factFields },
    run: ({ role_name, secret_id, ...wanted }, context) => make(role_name, secret_id.trim(), wanted, context),
  }),
  lookup.compute({
    summary: 'Look up a secret id.',
    input: secretIdField,
    output: lookupFields,
    async run({ role_name, secret_id }, context) {
      const found = await bySecretId(secret_id)(context, await needRole(context, role_name))
      return found && shown(found)
    },
  }),
  accessorLookup.compute({
    summary: 'Look up a secret id by its accessor.',
    input: accessorField,
    output: lookupFields,
    async run({ role_name, secret_id_accessor }, context) {
      const found = await byAccessor(secret_id_accessor)(context, await needRole(context, role_name))
      // Vault answers this one with the error as data.
      return found ? shown(found) : { status: 404, data: { error: unknownAccessor } }
    },
  }),
  ending.write(destroyOperation),
  ending.delete(destroyOperation),
  accessorEnding.write(accessorDestroyOperation),
  accessorEnding.delete(accessorDestroyOperation),
]
