// Single fields of a role under paths of their own, one line each in a table: read, written and set back like the role itself.
import { bool, type Fields, invalid, type Operation, path, type WriteContext } from '../../sdk/index.ts'
import { cleanPolicies } from '../../sdk/token-params.ts'
import { checkPeriod, type RoleSettings, settingFields, shownFields, withSettings } from './role-settings.ts'
import { findRole, needRole, putRole } from './role-store.ts'
import { roleField } from './roles.ts'

type Setting = keyof typeof settingFields

interface RolePart {
  readonly what: string
  /** Fields it shows and takes; a write needs one of them. */
  readonly fields: readonly Setting[]
  /** What a delete sets. */
  readonly reset: RoleSettings
}

const parts: Readonly<Record<string, RolePart>> = {
  'bind-secret-id': {
    what: 'whether a login needs a secret id',
    fields: ['bind_secret_id'],
    reset: { bind_secret_id: true },
  },
  period: {
    what: 'the period of tokens',
    fields: ['token_period', 'period'],
    reset: { token_period: 0 },
  },
  policies: {
    what: 'the policies of tokens',
    fields: ['token_policies', 'policies'],
    reset: { token_policies: [] },
  },
  'secret-id-bound-cidrs': {
    what: 'the addresses that may log in',
    fields: ['secret_id_bound_cidrs'],
    reset: { secret_id_bound_cidrs: [] },
  },
  'secret-id-num-uses': {
    what: 'how many logins a secret id is good for',
    fields: ['secret_id_num_uses'],
    reset: { secret_id_num_uses: 0 },
  },
  'secret-id-ttl': {
    what: 'the lifetime of secret ids',
    fields: ['secret_id_ttl'],
    reset: { secret_id_ttl: 0 },
  },
  'token-bound-cidrs': {
    what: 'the addresses that tokens may be used from',
    fields: ['token_bound_cidrs'],
    reset: { token_bound_cidrs: [] },
  },
  'token-max-ttl': {
    what: 'the lifetime up to which tokens can be renewed',
    fields: ['token_max_ttl'],
    reset: { token_max_ttl: 0 },
  },
  'token-num-uses': {
    what: 'how often a token can be used',
    fields: ['token_num_uses'],
    reset: { token_num_uses: 0 },
  },
  'token-ttl': {
    what: 'the lifetime of tokens',
    fields: ['token_ttl'],
    reset: { token_ttl: 0 },
  },
}

async function change(name: string, settings: RoleSettings, context: WriteContext): Promise<void> {
  const before = await needRole(context, name)
  const after = withSettings(before, settings, context.mount)
  if (settings.token_period !== undefined) checkPeriod(after, context.mount)
  await putRole(context, before, after)
}

/** The settings among the input of a part; throws `invalid` when it holds none. */
function sentSettings({ fields }: RolePart, input: Readonly<Record<string, unknown>>): RoleSettings {
  const sent = fields.filter((name) => input[name] !== undefined)
  const settings: RoleSettings = Object.fromEntries(sent.map((name) => [name, input[name]]))
  // An empty list would open the role to all addresses: that is what a delete says.
  if (sent.length === 0 || settings.secret_id_bound_cidrs?.length === 0) throw invalid(`missing ${fields[0]}`)
  return settings.token_policies ? { ...settings, token_policies: cleanPolicies(settings.token_policies) } : settings
}

function partOperations([name, part]: readonly [string, RolePart]): Operation[] {
  const { what, fields, reset } = part
  const input: Fields = Object.fromEntries(fields.map((field) => [field, settingFields[field]]))
  const at = path(`role/{role_name}/${name}`, roleField, `Of a role: ${what}.`)
  return [
    at.read({
      summary: `Read ${what}.`,
      output: input,
      async run({ role_name }, context) {
        const role = await findRole(context, role_name)
        return role && { data: shownFields(role, fields) }
      },
    }),
    at.write({
      summary: `Set ${what}.`,
      input,
      async run({ role_name, ...rest }, context) {
        await change(role_name, sentSettings(part, rest), context)
        return undefined
      },
    }),
    at.delete({
      summary: `Set back ${what}.`,
      async run({ role_name }, context) {
        if (await findRole(context, role_name)) await change(role_name, reset, context)
        return undefined
      },
    }),
  ]
}

const localSecretIds = path('role/{role_name}/local-secret-ids', roleField, 'Of a role: local secret ids.').read({
  summary: 'Read whether the role was made with local secret ids.',
  output: { local_secret_ids: bool('As it was sent when the role was created.') },
  async run({ role_name }, context) {
    const role = await findRole(context, role_name)
    return role && { data: { local_secret_ids: role.localSecretIds } }
  },
})

const boundCidrList = path('role/{role_name}/bound-cidr-list', roleField, 'The older path of secret-id-bound-cidrs.')
const boundCidrField = { bound_cidr_list: settingFields.secret_id_bound_cidrs.deprecated() }

const olderOperations = [
  boundCidrList.read({
    summary: 'Read the addresses that may log in.',
    deprecated: true,
    output: boundCidrField,
    async run({ role_name }, context) {
      const role = await findRole(context, role_name)
      if (!role) return undefined
      context.warn('The "bound_cidr_list" field is deprecated. Use "secret_id_bound_cidrs" instead.')
      return { data: { bound_cidr_list: shownFields(role, ['secret_id_bound_cidrs'])['secret_id_bound_cidrs'] } }
    },
  }),
  boundCidrList.write({
    summary: 'Set the addresses that may log in.',
    deprecated: true,
    input: boundCidrField,
    async run({ role_name, bound_cidr_list = [] }, context) {
      if (bound_cidr_list.length === 0) throw invalid('missing bound_cidr_list')
      await change(role_name, { secret_id_bound_cidrs: bound_cidr_list }, context)
      return undefined
    },
  }),
  boundCidrList.delete({
    summary: 'Set back the addresses that may log in.',
    deprecated: true,
    async run({ role_name }, context) {
      if (await findRole(context, role_name)) await change(role_name, { secret_id_bound_cidrs: [] }, context)
      return undefined
    },
  }),
]

/** Operations on the single fields of a role. */
export const rolePartOperations: readonly Operation[] = [
  ...Object.entries(parts).flatMap(partOperations),
  localSecretIds,
  ...olderOperations,
]
