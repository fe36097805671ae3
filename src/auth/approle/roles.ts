// Roles: made, changed, shown, listed, deleted, and their role ids.
import { randomUUID } from 'node:crypto'
import { invalid } from '../../sdk/errors.ts'
import { bool, list, listReply, path, str, type ValuesOf, type WriteContext } from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import { emptyTokenParams, tokenParamOutput } from '../../sdk/token-params.ts'
import { forgetSecretIds } from './cleanup.ts'
import { type RoleSettings, settingFields, shownRole, withSettings } from './role-settings.ts'
import { deleteRole, findRole, needRole, putRole, type RoleRecord, roleName, roleNames } from './role-store.ts'

/** The placeholder of every path of a role. */
export const roleField = { role_name: str('Name of the role; upper and lower case are one.').required() }

const role = path('role/{role_name}', roleField, 'A role: what a machine must show to log in, and what its tokens get.')
const creationFields = {
  bound_cidr_list: settingFields.secret_id_bound_cidrs.deprecated(),
  local_secret_ids: bool('Kept for clients that send it at creation: secret ids are the same on all nodes.'),
  role_id: str('Name the role logs in under, unique in the mount; a UUID unless said otherwise.'),
}

const newRole = (name: string): RoleRecord => ({
  name,
  key: randomUUID(),
  roleId: randomUUID(),
  bindSecretId: true,
  localSecretIds: false,
  secretIdBoundCidrs: [],
  secretIdNumUses: 0,
  secretIdTtlSeconds: 0,
  token: emptyTokenParams,
})

// "default-…" says what the mount's default would be, and a role has none to speak of.
const meantTypes: Readonly<Record<string, string>> = { 'default-service': 'service', 'default-batch': 'batch' }

/** The settings sent, with the token type that is meant where a client sent another. */
function meantSettings<S extends RoleSettings>(input: S, context: WriteContext): S {
  const sent = input.token_type ?? ''
  const meant = Object.hasOwn(meantTypes, sent) ? meantTypes[sent] : undefined
  if (meant === undefined) return input
  context.warn(`${sent} has no useful meaning; adjusting to ${meant}`)
  return { ...input, token_type: meant }
}

type RoleInput = RoleSettings & Partial<ValuesOf<typeof creationFields>> & { readonly role_name: string }

async function saveRole(input: RoleInput, context: WriteContext): Promise<undefined> {
  const before = await findRole(context, input.role_name)
  if (before && input.local_secret_ids !== undefined)
    throw invalid('field "local_secret_ids" can only be set when the role is created')
  const bare = before ?? { ...newRole(roleName(input.role_name)), localSecretIds: input.local_secret_ids ?? false }
  const secret_id_bound_cidrs = input.secret_id_bound_cidrs ?? input.bound_cidr_list
  const settings = meantSettings({ ...input, secret_id_bound_cidrs }, context)
  const after = {
    ...withSettings(bare, settings, context.mount),
    roleId: input.role_id === undefined ? bare.roleId : input.role_id.trim(),
  }
  if (after.token.token_max_ttl > context.mount.maxLeaseTtlSeconds)
    context.warn("token_max_ttl is greater than the mount's maximum: the lifetime of tokens is cut down to that")
  await putRole(context, before, after)
  return undefined
}

/** Operations on `role` and below it, those of its single fields and secret ids aside. */
export const roleOperations = [
  path('role', {}, 'The roles of this mount.').list({
    summary: 'List the names of the roles.',
    input: pageFields,
    output: { keys: list('Names of roles.') },
    run: async (input, { tx }) => listReply(await roleNames.list(tx, '', pageOptions(input))),
  }),
  role.read({
    summary: 'Read the settings of a role.',
    output: { ...settingFields, ...tokenParamOutput, local_secret_ids: creationFields.local_secret_ids },
    async run({ role_name }, context) {
      const found = await findRole(context, role_name)
      return found && { data: shownRole(found) }
    },
  }),
  role.write({
    summary: 'Create or change a role; what is not sent stays.',
    input: { ...settingFields, ...creationFields },
    exists: ({ role_name }, { tx }) => roleNames.has(tx, role_name.toLowerCase()),
    run: saveRole,
  }),
  role.delete({
    summary: 'Delete a role with its secret ids; its tokens live on until they expire or are to be renewed.',
    async run({ role_name }, context) {
      const found = await findRole(context, role_name)
      if (!found) return undefined
      await deleteRole(context, found)
      forgetSecretIds(context, found)
      return undefined
    },
  }),
]

const roleId = path('role/{role_name}/role-id', roleField, 'The role id: what a machine logs in with.')
const roleIdField = { role_id: str('The role id, unique in the mount.') }

/** Operations on `role/<name>/role-id`. */
export const roleIdOperations = [
  roleId.read({
    summary: 'Read the role id.',
    output: roleIdField,
    async run({ role_name }, context) {
      const found = await findRole(context, role_name)
      return found && { data: { role_id: found.roleId } }
    },
  }),
  roleId.write({
    summary: 'Choose another role id; the old one ends at once, secret ids stay.',
    input: roleIdField,
    async run({ role_name, role_id = '' }, context) {
      const found = await needRole(context, role_name)
      await putRole(context, found, { ...found, roleId: role_id.trim() })
      return undefined
    },
  }),
]
