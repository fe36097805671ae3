// Assignments: which entities and groups may sign in to a client.
import { invalid, list, listReply, type Operation, path, str } from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { allowAll, assignmentStore, assignments, checkList, checkOidcName, clients, referenced } from './records.ts'

const idsMax = 10_000

/** Ids are UUIDs in lower case; what follows a dot is the id of a namespace. */
const tidyIds = (ids: readonly string[]): string[] => [
  ...new Set(
    ids.map((id) => {
      const dot = id.indexOf('.')
      return dot < 0 ? id.toLowerCase() : id.slice(0, dot).toLowerCase() + id.slice(dot)
    }),
  ),
]

/** The operations on assignments. */
export const assignmentOperations: readonly Operation[] = (() => {
  const one = path('oidc/assignment/{name}', { name: str('Name of the assignment.').required() }, 'An assignment.')
  return [
    one.write({
      summary: 'Create or update an assignment.',
      input: { entity_ids: list('Ids of entities.'), group_ids: list('Ids of groups.') },
      exists: async ({ name }, context) => (await assignmentStore.get(context.tx, here(context), name)) !== undefined,
      async run(input, context) {
        const { name, entity_ids: entityIds, group_ids: groupIds } = input
        if (name === allowAll) throw invalid(`modification of assignment "${allowAll}" not allowed`)
        checkOidcName(name)
        checkList('entity_ids', entityIds ?? [], idsMax)
        checkList('group_ids', groupIds ?? [], idsMax)
        const before = await assignments(here(context)).get(context.tx, name)
        assignments(here(context)).put(context.tx, name, {
          entityIds: tidyIds(entityIds ?? before?.entityIds ?? []),
          groupIds: tidyIds(groupIds ?? before?.groupIds ?? []),
        })
        return undefined
      },
    }),
    one.read({
      summary: 'Read an assignment.',
      output: { entity_ids: list('Ids of entities.'), group_ids: list('Ids of groups.') },
      async run({ name }, context) {
        const found = await assignmentStore.get(context.tx, here(context), name)
        return found && { data: { entity_ids: found.entityIds, group_ids: found.groupIds } }
      },
    }),
    one.delete({
      summary: 'Delete an assignment that no client names.',
      async run({ name }, context) {
        if (name === allowAll) throw invalid(`deletion of assignment "${allowAll}" not allowed`)
        const users = (await clients(here(context)).all(context.tx)).filter(({ value }) =>
          value.assignments.includes(name),
        )
        if (users.length > 0) throw referenced(`assignment "${name}"`, 'clients', users)
        assignments(here(context)).delete(context.tx, name)
        return undefined
      },
    }),
    path('oidc/assignment', {}, 'Who may sign in to clients.').list({
      summary: 'List the assignments.',
      output: { keys: list('Names.') },
      run: async (_input, context) => listReply(await assignmentStore.names(context.tx, here(context))),
    }),
  ]
})()
