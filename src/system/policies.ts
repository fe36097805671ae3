// sys/policy, sys/policies/acl and sys/capabilities: ACL policies and what they come to.
import type { Policies, PolicyRecord } from '../core/policies.ts'
import { policyRecords, wrappingPolicyName } from '../core/policies.ts'
import type { Acl } from '../core/policy/acl.ts'
import { PolicyError, parsePolicy } from '../core/policy/parse.ts'
import {
  ApiError,
  bool,
  type Context,
  duration,
  int,
  invalid,
  list,
  listReply,
  map,
  type Operation,
  path,
  type Reply,
  str,
  time,
  type WriteContext,
} from '../sdk/index.ts'
import { pageFields, pageOf } from '../sdk/page.ts'
import type { Reader } from '../storage/storage.ts'

const nameLengthMax = 512
/** Policies that cannot be written or deleted. */
const immutable = new Set(['root', wrappingPolicyName])

const nameOf = (name: string, context: Context): string => {
  const lower = name.toLowerCase()
  if (lower === '') throw invalid('policy name must be provided in the URL')
  if (lower.length > nameLengthMax) throw invalid(`policy name is longer than ${nameLengthMax} characters`)
  if (lower !== name) context.warn(`policy name was converted to ${lower}`)
  return lower
}

/** Text as sent, or as base64 of it. */
const textOf = (text: string): string => {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return text
  return Buffer.from(text, 'base64').toString('utf8')
}

const isPlain = (record: PolicyRecord): boolean =>
  !record.cas_required &&
  record.expiration === undefined &&
  !record.allow_slashes_in_identity_templates &&
  !record.allow_wildcards_in_identity_templates

const details = (record: PolicyRecord): Record<string, unknown> => ({
  allow_slashes_in_identity_templates: record.allow_slashes_in_identity_templates,
  allow_wildcards_in_identity_templates: record.allow_wildcards_in_identity_templates,
  cas_required: record.cas_required,
  ...(record.expiration === undefined ? {} : { expiration: new Date(record.expiration).toISOString() }),
  modified: new Date(record.modified).toISOString(),
  name: record.name,
  policy: record.policy,
  version: record.version,
})

const fields = {
  policy: str('The rules, in HCL or JSON; base64 of them is taken too.'),
  rules: str('Older name of `policy`.').deprecated(),
  cas: int('Writes only if the policy has this version; -1: only if there is none.'),
  cas_required: bool('Whether every later write must give `cas`.'),
  expiration: time('When the policy ends.'),
  ttl: duration('How long the policy lasts, instead of `expiration`.'),
  allow_wildcards_in_identity_templates: bool('Lets identity values hold `*` and `+`.'),
  allow_slashes_in_identity_templates: bool('Lets identity values hold `/`.'),
}
interface Values {
  readonly policy: string | undefined
  readonly rules: string | undefined
  readonly cas: number | undefined
  readonly cas_required: boolean | undefined
  readonly expiration: number | undefined
  readonly ttl: number | undefined
  readonly allow_wildcards_in_identity_templates: boolean | undefined
  readonly allow_slashes_in_identity_templates: boolean | undefined
}

const checkCas = (stored: PolicyRecord | undefined, cas: number | undefined, required: boolean): void => {
  if (cas === undefined) {
    if (required) throw invalid('check-and-set parameter required for this call')
    return
  }
  if (cas === -1 ? stored !== undefined : (stored?.version ?? 0) !== cas)
    throw invalid('check-and-set parameter did not match the current version')
}

/** Checks a policy and gives it as it is to be stored. Unnamed settings come from `base`. */
function recordFrom(
  name: string,
  values: Values,
  base: PolicyRecord | undefined,
  stored: PolicyRecord | undefined,
  now: number,
): PolicyRecord {
  const text = textOf(values.policy || values.rules || base?.policy || '')
  if (text === '') throw invalid("'policy' parameter not supplied or empty")
  if (values.expiration !== undefined && values.ttl !== undefined)
    throw invalid("cannot supply both 'expiration' and 'ttl' for policies")
  const expiration = values.expiration ?? (values.ttl === undefined ? base?.expiration : now + values.ttl * 1000)
  if (expiration !== undefined && expiration <= now)
    throw invalid('refusing to update policy as expiration time has already elapsed')
  const record: PolicyRecord = {
    name,
    policy: text,
    version: (stored?.version ?? 0) + 1,
    modified: now,
    cas_required: values.cas_required ?? base?.cas_required ?? false,
    allow_wildcards_in_identity_templates:
      values.allow_wildcards_in_identity_templates ?? base?.allow_wildcards_in_identity_templates ?? false,
    allow_slashes_in_identity_templates:
      values.allow_slashes_in_identity_templates ?? base?.allow_slashes_in_identity_templates ?? false,
    ...(expiration === undefined ? {} : { expiration }),
  }
  try {
    parsePolicy(text, name)
  } catch (error) {
    if (error instanceof PolicyError) throw invalid(`failed to parse policy: ${error.message}`)
    throw error
  }
  return record
}

const isExpired = (record: PolicyRecord, now: number) => record.expiration !== undefined && record.expiration <= now

/** Operations on ACL policies, in both generations of paths. */
export function policyOperations(policies: Policies): Operation[] {
  const names = async (tx: Reader, context: Context, prefix: string): Promise<string[]> => {
    const { uuid } = context.mount.namespace
    const stored = await policyRecords(uuid).scan(tx)
    const all = stored.filter((name) => name.startsWith(prefix))
    if (uuid === 'root' && prefix === '') all.push('root')
    return all.sort()
  }
  const read = async (tx: Reader, context: Context, wanted: string): Promise<PolicyRecord | undefined> => {
    const name = wanted.toLowerCase()
    const { uuid } = context.mount.namespace
    if (name === 'root' && uuid === 'root')
      return {
        name,
        policy: '',
        version: 1,
        modified: 0,
        cas_required: false,
        allow_wildcards_in_identity_templates: false,
        allow_slashes_in_identity_templates: false,
      }
    const record = await policies.get(tx, uuid, name)
    return record && !isExpired(record, context.now) ? record : undefined
  }
  const write = async (
    wanted: string,
    values: Values,
    context: WriteContext,
    patch: boolean,
  ): Promise<Reply | undefined> => {
    const name = nameOf(wanted, context)
    if (immutable.has(name)) throw invalid(`cannot update "${name}" policy`)
    const { uuid } = context.mount.namespace
    const stored = await policies.get(context.tx, uuid, name)
    if (patch && !stored) throw new ApiError(404, 'policy not found')
    checkCas(stored, values.cas, stored?.cas_required === true)
    if (values.rules !== undefined && !values.policy) context.warn("'rules' is deprecated, please use 'policy' instead")
    await policies.put(context.tx, uuid, recordFrom(name, values, patch ? stored : undefined, stored, context.now))
    return undefined
  }
  const remove = async (wanted: string, context: WriteContext): Promise<undefined> => {
    const name = wanted.toLowerCase()
    if (immutable.has(name) || name === 'default') throw invalid(`cannot delete "${name}" policy`)
    await policies.delete(context.tx, context.mount.namespace.uuid, name)
    return undefined
  }
  const family = (prefix: string, old: boolean): Operation[] => {
    const all = path(prefix, {}, 'Names of the ACL policies.')
    const one = path(
      `${prefix}/{name*}`,
      { name: str('Name of the policy; lower case.').required() },
      'One ACL policy.',
    )
    const listed = async (
      tx: Reader,
      context: Context,
      prefixOf: string,
      query: { readonly after: string; readonly limit: number },
    ): Promise<Reply> => {
      const keys = pageOf(await names(tx, context, prefixOf), query)
      return old ? { data: { keys, policies: keys }, list: true, flat: true } : listReply(keys)
    }
    return [
      all.list({
        summary: 'List the policies.',
        input: pageFields,
        output: { keys: list('Names.') },
        run: (q, c) => listed(c.tx, c, '', q),
      }),
      ...(old
        ? [
            all.read({
              summary: 'List the policies.',
              output: { keys: list('Names.'), policies: list('Names.') },
              run: (_, c) => listed(c.tx, c, '', { after: '', limit: 0 }),
            }),
          ]
        : []),
      one.list({
        summary: 'List the policies whose names begin so.',
        input: pageFields,
        output: { keys: list('Names.') },
        run: ({ name, ...q }, c) => listed(c.tx, c, name, q),
      }),
      one.read({
        summary: 'Read a policy.',
        output: { name: str('Name.'), [old ? 'rules' : 'policy']: str('The rules.') },
        async run({ name }, context) {
          const record = await read(context.tx, context, name)
          if (!record) return undefined
          const { policy, ...rest } = isPlain(record) ? { name: record.name, policy: record.policy } : details(record)
          return { data: old ? { ...rest, rules: policy } : { ...rest, policy }, flat: old }
        },
      }),
      one.write({
        summary: 'Write a policy.',
        input: fields,
        exists: ({ name }, context) => policies.exists(context.tx, context.mount.namespace.uuid, name.toLowerCase()),
        run: ({ name, ...values }, context) => write(name, values, context, false),
      }),
      ...(old
        ? []
        : [
            one.patch({
              summary: 'Change parts of a policy.',
              input: fields,
              run: ({ name, ...values }, context) => write(name, values, context, true),
            }),
          ]),
      one.delete({ summary: 'Delete a policy.', run: ({ name }, context) => remove(name, context) }),
    ]
  }
  const detailed = (pattern: string, withName: boolean): Operation =>
    path(
      pattern,
      (withName ? { name: str('Beginning of the names.').required() } : {}) as { name: ReturnType<typeof str> },
      'Policies with all that is known of them.',
    ).list({
      summary: 'List the policies with their details.',
      output: { keys: list('Names.'), key_info: map('Details by name.') },
      async run({ name }, context) {
        const keys = await names(context.tx, context, name ?? '')
        const info: Record<string, unknown> = {}
        for (const key of keys) {
          const record = await read(context.tx, context, key)
          if (record) info[key] = details(record)
        }
        return listReply(keys, info)
      },
    })
  return [
    ...family('policies/acl', false),
    ...family('policy', true),
    detailed('policies/detailed/acl', false),
    detailed('policies/detailed/acl/{name*}', true),
  ]
}

/** What capability operations need: the ACL of a token. Undefined: no such token. */
export interface AclOf {
  byToken(tx: Reader, token: string, now: number): Promise<Acl | undefined>
  byAccessor(tx: Reader, accessor: string, now: number, namespaceUuid: string): Promise<Acl | undefined>
}

/** Operations that tell capabilities. */
export function capabilityOperations(acls: AclOf): Operation[] {
  const input = { paths: list('Paths to ask about.'), path: list('Older name of `paths`.').deprecated() }
  const output = { capabilities: list('Capabilities on the first path.'), paths: map('Capabilities by path.') }
  const answer = (acl: Acl | undefined, paths: readonly string[] | undefined, context: Context): Reply => {
    if (!paths || paths.length === 0) throw invalid('paths must be supplied')
    if (!acl) throw invalid('invalid token')
    const data: Record<string, unknown> = {}
    for (const one of paths)
      data[one] = acl.capabilities(context.mount.namespace.path + one.replace(/^\//, ''), context.now)
    if (paths.length === 1) data['capabilities'] = data[paths[0] as string]
    return { data, flat: true }
  }
  return [
    path('capabilities', {}, 'Capabilities of a token.').compute({
      summary: 'Tell the capabilities of a token on paths.',
      input: { ...input, token: str('The token.').sensitive().required() },
      output,
      run: async ({ token, paths, path }, context) =>
        answer(await acls.byToken(context.tx, token, context.now), paths ?? path, context),
    }),
    path('capabilities-accessor', {}, 'Capabilities of the token with an accessor.').compute({
      summary: 'Tell the capabilities of the token with this accessor on paths.',
      input: { ...input, accessor: str('The accessor.').required() },
      output,
      run: async ({ accessor, paths, path }, context) => {
        const acl = await acls.byAccessor(context.tx, accessor, context.now, context.mount.namespace.uuid)
        if (!acl) throw invalid('invalid accessor')
        return answer(acl, paths ?? path, context)
      },
    }),
    path('capabilities-self', {}, 'Capabilities of the calling token.').compute({
      summary: 'Tell the capabilities of the calling token on paths.',
      input: { ...input, token: str('Ignored: the caller is asked.').sensitive() },
      output,
      run: async ({ paths, path }, context) =>
        answer(await acls.byToken(context.tx, context.caller.token, context.now), paths ?? path, context),
    }),
  ]
}
